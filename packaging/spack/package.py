# Spack recipe: copy this folder to REPO/packages/flm (spack repo create REPO; spack repo add REPO), then
#   spack install flm +cuda +nccl cuda_arch=90
# SPDX-License-Identifier: Apache-2.0
from spack.package import *


class Flm(AutotoolsPackage, CudaPackage):
    """Train, distil, sample and score flow language models, in C with MPI and HDF5."""

    homepage = "https://arxiv.org/abs/2602.16813"
    # `spack dev-build`, or `spack develop --path SOURCE flm@0.2.0`, builds a source tree; a tarball of `make dist` needs a url.
    url = "file:///path/to/flm-0.2.0.tar.gz"

    license("Apache-2.0")

    version("0.2.0")

    variant("nccl", default=False, when="+cuda", description="Use NCCL between GPUs")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("autoconf@2.71:", type="build")
    depends_on("automake@1.16:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi@3:")
    depends_on("hdf5@1.10: +mpi+hl~cxx")
    depends_on("onednn@2.6:")
    depends_on("openblas")
    depends_on("jansson")
    depends_on("openssl")
    depends_on("libzip")
    depends_on("utf8proc")
    depends_on("libarchive")
    depends_on("zlib-api")
    depends_on("pcre2", type="build")
    depends_on("cuda@11.8:", when="+cuda")
    depends_on("nccl", when="+nccl")

    def autoreconf(self, spec, prefix):
        Executable("./bootstrap")()

    def configure_args(self):
        args = []
        if self.spec.satisfies("+cuda"):
            archs = self.spec.variants["cuda_arch"].value
            args.append(f"--with-cuda={self.spec['cuda'].prefix}")
            args.append("NVCC_GENCODE=" + " ".join(self.cuda_flags(archs)))
        else:
            args.append("--with-cuda=no")
        args.append(f"--with-nccl={self.spec['nccl'].prefix}" if self.spec.satisfies("+nccl") else "--with-nccl=no")
        return args

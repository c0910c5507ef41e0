# SPDX-License-Identifier: Apache-2.0
# Spack recipe, for Spack 1.0 or later: docs/install.md says where to put it. Then, for example,
#   spack install flm +cuda +nccl cuda_arch=90
from spack_repo.builtin.build_systems.autotools import AutotoolsPackage
from spack_repo.builtin.build_systems.cuda import CudaPackage

from spack.package import *


class Flm(AutotoolsPackage, CudaPackage):
    """Train, distil, sample and score flow language models, in C with MPI and HDF5."""

    homepage = "https://arxiv.org/abs/2602.16813"
    # `spack dev-build flm@0.2.0` and `spack develop --path SOURCE flm@0.2.0` build a source tree;
    # for a tarball of `make dist` set its place here.
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
    depends_on("hdf5@1.10:1.14 +mpi")
    depends_on("onednn@2.6: cpu_runtime=omp")
    depends_on("openblas")
    depends_on("jansson")
    depends_on("openssl")
    depends_on("libzip")
    depends_on("utf8proc@2.7:")
    depends_on("libarchive")
    depends_on("zlib-api")
    depends_on("pcre2@10.30:")
    depends_on("cuda@11.8:", when="+cuda")
    depends_on("nccl", when="+nccl")

    conflicts("cuda_arch=none", when="+cuda", msg="Name the GPUs: cuda_arch=80,90")

    def autoreconf(self, spec, prefix):
        Executable("./bootstrap")()

    def configure_args(self):
        spec = self.spec
        args = [f"MPICC={spec['mpi'].mpicc}", f"H5CC={spec['hdf5'].prefix.bin.h5pcc}"]
        if spec.satisfies("+cuda"):
            flags = self.cuda_flags(spec.variants["cuda_arch"].value)
            args.append(f"--with-cuda={spec['cuda'].prefix}")
            args.append("NVCC_GENCODE=" + " ".join(flags))
        else:
            args.append("--with-cuda=no")
        if spec.satisfies("+nccl"):
            args.append(f"--with-nccl={spec['nccl'].prefix}")
        else:
            args.append("--with-nccl=no")
        return args

#!/bin/sh
# kernel_report.t - scripts/kernel-report: it reads ptxas and machine code, and fails where a bound is exceeded.
# SPDX-License-Identifier: Apache-2.0
. "${abs_top_srcdir:?run me with make check}/tests/tap.sh"
mkdir -p b/cuda/kernel
: >b/cuda/kernel/one.o
# ptxas REGISTERS SPILLED - what ptxas reports of a kernel with so many registers and bytes of stores.
ptxas() {
    cat >b/cuda/kernel/one.ptxas <<END
ptxas info    : Compiling entry function 'one' for 'sm_90'
ptxas info    : Function properties for one
    0 bytes stack frame, $2 bytes spill stores, 0 bytes spill loads
ptxas info    : Used $1 registers, used 1 barriers, 2048 bytes smem, 440 bytes cmem[0]
END
}
# A loop of six instructions, with two HMMA and one LDSM, within a longer one; one 128-bit load.
cat >cuobjdump <<'END'
#!/bin/sh
cat <<'SASS'
	code for sm_90
		Function : one
        /*0000*/                   LDG.E.128 R4, desc[UR4][R2.64] ;     /* 0x0000000402047981 */
                                                                        /* 0x001ea2000c1e1d00 */
        /*0010*/                   MOV R1, R2 ;                         /* 0x0 */
        /*0020*/                   LDSM.16.M88.4 R8, [R6] ;             /* 0x0 */
        /*0030*/                   HMMA.16816.F32.BF16 R4, R8, R4, R4 ; /* 0x0 */
        /*0040*/                   HMMA.16816.F32.BF16 R4, R8, R4, R4 ; /* 0x0 */
        /*0050*/                   IADD3 R1, R1, 0x1, RZ ;              /* 0x0 */
        /*0060*/                   ISETP.GE.AND P0, PT, R1, R3, PT ;    /* 0x0 */
        /*0070*/              @!P0 BRA 0x20 ;                           /* 0x0 */
        /*0080*/               @P1 BRA 0x10 ;                           /* 0x0 */
        /*0090*/                   EXIT ;                               /* 0x0 */
SASS
END
chmod +x cuobjdump
CUOBJDUMP=$PWD/cuobjdump
export CUOBJDUMP
# report BOUNDS - with these bounds for the kernel.
report() {
    echo "one | $1 | a test" >bounds
    sh "$abs_top_srcdir/scripts/kernel-report" b bounds >out 2>err
}

ptxas 96 0
report "128 | 10240 | 96 | 5 | 6 | 50 | 1 | 0"
tap_is "$? $(wc -l <err)" "0 0" "at its bounds" || cat err
tap_is "$(tail -n 1 out | tr -s ' ')" "one sm_90 96 0 0 2048 6 2 1 1 0 one" "the columns: $(tail -n 1 out | tr -s ' ')"
# each KIND BOUNDS - one bound exceeded, and only that one.
each() {
    report "$2"
    tap_is "$? $(wc -l <err) $(grep -c "kernel-report: one on sm_90: $1" err)" "1 1 1" "$1: $(cat err)"
}
each registers "128 | 10240 | 95 | 5 | 6 | 50 | 1 | 0"
each "blocks on a multiprocessor" "128 | 10240 | 96 | 6 | 6 | 50 | 1 | 0"
each "instructions of the inner loop" "128 | 10240 | 96 | 5 | 5 | 50 | 1 | 0"
each "LDSM for 100 HMMA" "128 | 10240 | 96 | 5 | 6 | 33 | 1 | 0"
each "128-bit loads" "128 | 10240 | 96 | 5 | 6 | 50 | 2 | 0"
each "128-bit stores" "128 | 10240 | 96 | 5 | 6 | 50 | 1 | 1"
each "blocks on a multiprocessor: 2, at" "128 | 81920 | 96 | 3 | - | - | - | -"
ptxas 96 8
report "128 | 10240 | - | - | - | - | - | -"
tap_is "$? $(cat err)" "1 kernel-report: one spills on sm_90" "a spill"
ptxas 96 0
echo "two | 128 | 0 | - | - | - | - | - | - | gone" >bounds
sh "$abs_top_srcdir/scripts/kernel-report" b bounds >out 2>err
tap_is "$? $(cat err)" "1 kernel-report: two has bounds, but is not in the build" "a kernel that is not there"
CUOBJDUMP=$PWD/missing
report "128 | 10240 | 96 | 5 | 1 | 1 | 9 | 9"
tap_is "$? $(tail -n 1 out)" "0 kernel-report: no cuobjdump: inner loops and accesses are not checked" "without cuobjdump"
sh "$abs_top_srcdir/scripts/kernel-report" missing >out 2>err
tap_is $? 2 "no build"
tap_end

# Benchmarks: made by "make bench", run by hand; they are no tests.
EXTRA_PROGRAMS += %D%/bench_gemm
CLEANFILES += %D%/bench_gemm$(EXEEXT)

.PHONY: bench
bench: %D%/bench_gemm$(EXEEXT)

%C%_bench_gemm_SOURCES = %D%/bench_gemm.c %D%/bench_common.c %D%/bench_common.h
%C%_bench_gemm_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)
%C%_bench_gemm_LDADD = $(LINK_BACKEND) $(JANSSON_LIBS)

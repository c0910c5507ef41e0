noinst_LIBRARIES += libflm_comm.a
libflm_comm_a_SOURCES = %D%/comm.h %D%/comm_internal.h %D%/comm.c %D%/comm_host.c %D%/comm_self.c %D%/comm_mpi.c

noinst_LIBRARIES += libflm_comm.a
libflm_comm_a_CPPFLAGS = $(AM_CPPFLAGS) $(NCCL_CPPFLAGS) $(CUDA_CPPFLAGS)
libflm_comm_a_SOURCES = %D%/comm.h %D%/comm_internal.h %D%/comm_wait.h %D%/comm.c %D%/comm_host.c %D%/comm_self.c %D%/comm_mpi.c \
  %D%/comm_deadline.c %D%/comm_device.c %D%/comm_probe.c %D%/comm_staged.c
if FLM_HAVE_NCCL
libflm_comm_a_SOURCES += %D%/comm_nccl.c
endif

# Tests on several ranks: the same source under a name for each number of ranks.
EXTRA_DIST += %D%/ranks.h %D%/mock_device.h

# comm
check_PROGRAMS += %D%/comm_n2.mp2 %D%/comm_n4.mp4
%C%_comm_n2_mp2_SOURCES = %D%/comm.c
%C%_comm_n2_mp2_LDADD = $(LINK_COMM)
%C%_comm_n4_mp4_SOURCES = %D%/comm.c
%C%_comm_n4_mp4_LDADD = $(LINK_COMM)

# train
check_PROGRAMS += %D%/optimizer_n2.mp2 %D%/optimizer_n4.mp4
%C%_optimizer_n2_mp2_SOURCES = %D%/optimizer.c
%C%_optimizer_n2_mp2_LDADD = $(LINK_TRAIN)
%C%_optimizer_n4_mp4_SOURCES = %D%/optimizer.c
%C%_optimizer_n4_mp4_LDADD = $(LINK_TRAIN)

# checkpoints, samples files
check_PROGRAMS += %D%/checkpoint_n2.mp2 %D%/checkpoint_n4.mp4 %D%/samples_n4.mp4
%C%_samples_n4_mp4_SOURCES = %D%/samples.c
%C%_samples_n4_mp4_LDADD = $(LINK_IO)
%C%_checkpoint_n2_mp2_SOURCES = %D%/checkpoint.c
%C%_checkpoint_n2_mp2_LDADD = $(LINK_IO)
%C%_checkpoint_n4_mp4_SOURCES = %D%/checkpoint.c
%C%_checkpoint_n4_mp4_LDADD = $(LINK_IO)

# distillation
check_PROGRAMS += %D%/distill_n2.mp2 %D%/distill_n4.mp4
%C%_distill_n2_mp2_SOURCES = %D%/distill.c
%C%_distill_n2_mp2_LDADD = $(LINK_TRAIN)
%C%_distill_n4_mp4_SOURCES = %D%/distill.c
%C%_distill_n4_mp4_LDADD = $(LINK_TRAIN)

noinst_LIBRARIES += libflm_train.a
libflm_train_a_SOURCES = %D%/train_optimizer.c %D%/train_optimizer.h \
  %D%/train_checkpoint.c %D%/train_checkpoint.h %D%/train_step.c %D%/train_step.h \
  %D%/train_metrics.c %D%/train_metrics.h %D%/train_plan.c %D%/train_published.c %D%/train_published.h %D%/train_run.c %D%/train_run.h \
  %D%/train_resume.c %D%/train_teacher.c %D%/train_method.c %D%/train_precision.c %D%/train_samples.c %D%/train_directory.c %D%/train_internal.h
libflm_train_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS)

# Manual pages and completions: made by the programs from their option tables (src/base/base_options_pages.c), so that they
# are those of this build. flm.7, the overview, is written by hand.
dist_man7_MANS = %D%/flm.7
nodist_man1_MANS = %D%/flm_shard.1 %D%/flm_train.1 %D%/flm_distill.1 %D%/flm_generate.1 %D%/flm_score.1 %D%/flm_convert.1 \
  %D%/flm_inspect.1 %D%/flm_report.1
bashcompletiondir = $(datadir)/bash-completion/completions
nodist_bashcompletion_DATA = %D%/bash/flm_shard %D%/bash/flm_train %D%/bash/flm_distill %D%/bash/flm_generate \
  %D%/bash/flm_score %D%/bash/flm_convert %D%/bash/flm_inspect %D%/bash/flm_report
zshcompletiondir = $(datadir)/zsh/site-functions
nodist_zshcompletion_DATA = %D%/zsh/_flm_shard %D%/zsh/_flm_train %D%/zsh/_flm_distill %D%/zsh/_flm_generate \
  %D%/zsh/_flm_score %D%/zsh/_flm_convert %D%/zsh/_flm_inspect %D%/zsh/_flm_report
CLEANFILES += $(nodist_man1_MANS) $(nodist_bashcompletion_DATA) $(nodist_zshcompletion_DATA)

%D%/flm_shard.1 %D%/bash/flm_shard %D%/zsh/_flm_shard: flm_shard$(EXEEXT)
%D%/flm_train.1 %D%/bash/flm_train %D%/zsh/_flm_train: flm_train$(EXEEXT)
%D%/flm_distill.1 %D%/bash/flm_distill %D%/zsh/_flm_distill: flm_distill$(EXEEXT)
%D%/flm_generate.1 %D%/bash/flm_generate %D%/zsh/_flm_generate: flm_generate$(EXEEXT)
%D%/flm_score.1 %D%/bash/flm_score %D%/zsh/_flm_score: flm_score$(EXEEXT)
%D%/flm_convert.1 %D%/bash/flm_convert %D%/zsh/_flm_convert: flm_convert$(EXEEXT)
%D%/flm_inspect.1 %D%/bash/flm_inspect %D%/zsh/_flm_inspect: flm_inspect$(EXEEXT)
%D%/flm_report.1 %D%/bash/flm_report %D%/zsh/_flm_report: flm_report$(EXEEXT)
# Open MPI, for one rank: it needs no network, and starts faster.
$(nodist_man1_MANS) $(nodist_bashcompletion_DATA) $(nodist_zshcompletion_DATA):
	$(AM_V_GEN)$(MKDIR_P) '$(@D)' && name=`basename $@ .1 | sed 's/^_//'` && \
	case $@ in *.1) form=man ;; */zsh/*) form=zsh ;; *) form=bash ;; esac && \
	OMPI_MCA_btl=self OMPI_MCA_ess_singleton_isolated=1 ./$$name$(EXEEXT) --help=$$form >$@.tmp && mv $@.tmp $@

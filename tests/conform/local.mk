# attention
check_PROGRAMS += %D%/conform_attention.t %D%/conform_rope.t
%C%_conform_attention_t_SOURCES = %D%/conform_attention.c
%C%_conform_attention_t_LDADD = $(LINK_BACKEND)
%C%_conform_rope_t_SOURCES = %D%/conform_rope.c
%C%_conform_rope_t_LDADD = $(LINK_BACKEND)

noinst_LIBRARIES += libflm_text.a
libflm_text_a_SOURCES = %D%/text_tokenizer.c %D%/text_tokenizer.h %D%/text_internal.h %D%/text_bytes.c %D%/text_utf8.c \
  %D%/text_utf8.h \
  %D%/text_files.c %D%/text_special.c %D%/text_vocabulary.c %D%/text_vocabulary.h %D%/text_json.c %D%/text_json.h \
  %D%/text_cache.c %D%/text_cache.h %D%/text_unicode.c %D%/text_unicode.h \
  %D%/text_gpt2.c %D%/text_gpt2.h %D%/text_gpt2_chunk.c %D%/text_bpe.c \
  %D%/text_bert.c %D%/text_wordpiece.c %D%/text_wordpiece.h %D%/text_lm1b.c %D%/text_lm1b.h
libflm_text_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CPPFLAGS) $(UTF8PROC_CPPFLAGS) \
  -DFLM_DATA_PATH='"$(pkgdatadir):$(abs_top_srcdir)/data-prep"' \
  -DFLM_DATA_RELATIVE='"'"`realpath -ms --relative-to='$(bindir)' '$(pkgdatadir)'`"'"'

noinst_LIBRARIES += libflm_text.a
libflm_text_a_SOURCES = %D%/text_tokenizer.c %D%/text_tokenizer.h %D%/text_internal.h %D%/text_bytes.c %D%/text_utf8.c

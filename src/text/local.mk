noinst_LIBRARIES += libflm_text.a
libflm_text_a_SOURCES = %D%/text_tokenizer.h

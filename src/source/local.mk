# texts in files, compressions and archives
noinst_LIBRARIES += libflm_source.a
libflm_source_a_SOURCES = %D%/source.c %D%/source.h %D%/source_container.c %D%/source_container.h %D%/source_content.c \
  %D%/source_content.h %D%/source_decode.c %D%/source_gzip.c %D%/source_json.c %D%/source_json.h %D%/source_layer.c \
  %D%/source_layer.h %D%/source_members.c %D%/source_members.h %D%/source_options.h %D%/source_raw.c %D%/source_raw.h %D%/source_reader.c \
  %D%/source_reader.h %D%/source_white.c %D%/source_white.h %D%/source_zip.c %D%/source_zip.h
libflm_source_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBARCHIVE_CPPFLAGS)

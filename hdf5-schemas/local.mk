# The schemas are compiled into libflm_io (src/io/local.mk) and installed for people.
dist_pkgdata_DATA = %D%/checkpoint.schema %D%/shard.schema %D%/index.schema %D%/samples.schema

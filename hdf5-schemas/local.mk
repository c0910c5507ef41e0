# The schemas are compiled into libflm_io (src/io/local.mk) and installed for people.
schemasdir = $(pkgdatadir)/hdf5-schemas
dist_schemas_DATA = %D%/checkpoint.schema %D%/shard.schema %D%/index.schema %D%/samples.schema

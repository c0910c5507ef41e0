# Schema files to flm_schema_text. Comments and blank lines stay out of the library, line numbers stay right.
# SPDX-License-Identifier: Apache-2.0
BEGIN {
    print "/* Generated from hdf5-schemas/. */"
    print "#include \"h5/h5_schema.h\"\n\n#include <string.h>\n"
    print "static const struct {\n    const char *name, *text;\n} schemas[] = {"
}
FNR == 1 {
    if (NR > 1) print "    },"
    name = FILENAME
    sub(/.*\//, "", name)
    sub(/\.schema$/, "", name)
    print "    {\"" name "\","
}
{
    sub(/#.*/, "")
    sub(/[ \t]+$/, "")
    gsub(/\\/, "\\\\")
    gsub(/"/, "\\\"")
    print "     \"" $0 "\\n\""
}
END {
    print "    },\n};\n"
    print "const char *flm_schema_text(const char *name)\n{"
    print "    for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++)"
    print "        if (strcmp(schemas[i].name, name) == 0) return schemas[i].text;"
    print "    return NULL;\n}"
}

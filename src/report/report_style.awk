# report_style.awk - report_style.css as a string of the program. SPDX-License-Identifier: Apache-2.0
BEGIN { print "/* Generated from report_style.css. */\n#include \"report/report_internal.h\"\n\nconst char flm_report_style[] =" }
{
    gsub(/\\/, "\\\\")
    gsub(/"/, "\\\"")
    print "    \"" $0 "\\n\""
}
END { print "    ;" }

# report_tags.awk - whether an HTML page is well-formed, as XML: every tag is closed in order, and its attributes are in
# quotes. Prints the number of elements, or what is wrong and where. SPDX-License-Identifier: Apache-2.0
BEGIN { RS = "<" }
function wrong(why) { print "tag " NR ": " why ": <" substr($0, 1, 60); failed = 1; exit 1 }
NR == 1 || /^!DOCTYPE html>/ { next }
in_style && !/^\/style>/ { wrong("in the style sheet") }
{
    end = index($0, ">")
    if (!end) wrong("no end of the tag")
    tag = substr($0, 1, end - 1)
    text = substr($0, end + 1)
    in_style = tag == "style"
    if (!in_style && index(text, ">")) wrong("a > that is not escaped")
    if (!in_style && text ~ /&/) {
        gsub(/&(amp|lt|gt|quot|#39);/, "", text)
        if (index(text, "&")) wrong("a & that is not escaped")
    }
    if (tag ~ /^\//) {
        if (depth == 0 || stack[depth] != substr(tag, 2)) wrong("expected </" stack[depth] ">")
        depth--
        next
    }
    name = tag
    sub(/[ \/].*/, "", name)
    if (name !~ /^[a-z][a-z0-9]*$/) wrong("no name of an element")
    rest = substr(tag, length(name) + 1)
    gsub(/ [a-z][-a-zA-Z]*="[^"]*"/, "", rest)
    gsub(/ (open|checked)/, "", rest)
    if (rest != "" && rest != "/") wrong("attributes")
    elements++
    if (name ~ /^(meta|br|input)$/ || rest == "/") next
    stack[++depth] = name
}
END {
    if (failed) exit 1
    if (depth) { print stack[depth] " is not closed"; exit 1 }
    print elements + 0
}

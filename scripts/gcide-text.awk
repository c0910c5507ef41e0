# gcide-text.awk - the dictionary's running text: a definition a line, without headwords, markup and sources.
# In: the dictionary's text, entries that begin in the first column and go on indented by three blanks.
# SPDX-License-Identifier: Apache-2.0
function flush_text() {
    gsub(/\[[^\]]*\]/, "", text)           # [1913 Webster], [Obs.], etymologies
    sub(/ *--[A-Z].*$/, "", text)          # a quotation's author and what follows
    gsub(/[{}\\`"]/, "", text)
    gsub(/[^ -~]/, "", text)
    sub(/^ *\(?[0-9a-z]{0,2}[.)] */, "", text) # 1.  (a)
    gsub(/  +/, " ", text)
    sub(/^ /, "", text)
    sub(/ $/, "", text)
    # Short ones are labels; those with a colon or an equals sign list synonyms and forms.
    if (length(text) >= 40 && text ~ /^[A-Z]/ && text !~ /[]=:<>_*|\/]/) print text
    text = ""
}
/^00-database/ { skip = 1 }
/^[^ ]/ && !/^00-database/ { skip = 0 }
/^[^ ]/ || /^ *$/ || /^ *\[1913 Webster\] *$/ || /^ +[0-9]+\. / || /^ +\([a-z]\) / { flush_text() }
/^ / && !skip { text = text " " $0 }
END { flush_text() }

# shellcheck shell=sh
# figures.sh - the figures by which runs of two versions are compared, one a line, as in expected.txt; sourced by
# compat.t and by the scripts that make its files. $bin is the folder of flm_convert, $file_tool that program.
# SPDX-License-Identifier: Apache-2.0
: "${bin:?}" "${file_tool:?}"

# figures_losses NAME DIR FIRST - every report and validation of a run from step FIRST on:
# "loss NAME STEP LOSS GRAD_NORM [ERROR]", "valid NAME STEP LOSS [ERROR]".
figures_losses() {
    figures_report='^{"step":\([0-9]*\),.*"loss":\([^,]*\),"grad_norm":\([^,]*\),'
    sed -n -e 's/'"$figures_report"'.*"error":\([^,}]*\).*/loss \1 \2 \3 \4/p;t' \
        -e 's/'"$figures_report"'.*/loss \1 \2 \3/p;t' \
        -e 's/^{"step":\([0-9]*\),"valid_loss":\([^,]*\),.*"valid_error":\([^,}]*\).*/valid \1 \2 \3/p;t' \
        -e 's/^{"step":\([0-9]*\),"valid_loss":\([^,]*\),.*/valid \1 \2/p' "$2/metrics.jsonl" |
        awk -v name="$1" -v first="$3" '$2 >= first { $1 = $1 " " name; print }'
}

# figures_weights NAME CHECKPOINT - weights and averaged weights. "sha256 NAME DIGEST": of all values, in the order of
# flm_convert. "tensor NAME TENSOR NORM D1 D2 D3 D4": 2-norm, and inner products with four vectors of random signs: two
# tensors that are r apart (relative 2-norm) differ in them by about r NORM.
figures_weights() {
    "$bin/flm_convert" "$2" figures.safetensors >figures.out 2>&1 || cat figures.out >&2
    figures_bytes=$(od -An -tu8 -N8 figures.safetensors | tr -d ' ')
    figures_start=$((figures_bytes + 8))
    echo "sha256 $1 $(tail -c +$((figures_start + 1)) figures.safetensors | sha256sum | cut -d ' ' -f 1)"
    {
        head -c $figures_start figures.safetensors | tail -c "$figures_bytes" | sed 's/"\([^"]*\)":{"dtype"/\n\1 /g' |
            sed -n 's/^\([^ ]*\) .*"data_offsets":\[\([0-9]*\),\([0-9]*\)\].*/tensor \1 \3/p'
        echo
        od -An -v -w4 -tf4 -j $figures_start figures.safetensors
    } | awk -v name="$1" '
        function finish() {
            printf "tensor %s %s %.9e %.9e %.9e %.9e %.9e\n", name, tensor[at], sqrt(square), d[1], d[2], d[3], d[4]
            at++
            begin()
        }
        function begin() { square = d[1] = d[2] = d[3] = d[4] = 0; seed = 1 }
        BEGIN { n = at = values = 0; begin() }
        NF == 0 { next }
        $1 == "tensor" { tensor[n] = $2; end[n++] = $3 / 4; next }
        {
            for (k = 1; k <= 4; k++) { seed = seed * 16807 % 2147483647; d[k] += seed < 1073741824 ? $1 : -$1 }
            square += $1 * $1
            if (++values == end[at]) finish()
        }
        END { if (at != n || n == 0 || values != end[n - 1]) print "tensor", name, "cut" }'
}

# figures_ids NAME SAMPLES STEPS - "ids NAME STEPS ROW ID...".
figures_ids() {
    "$file_tool" ids "$2" "$3" 2>&1 | awk -v head="ids $1 $3" '{ print head, NR - 1, $0 }'
}

# figures_apart WANT HAVE KIND NAME - how far the lines "KIND NAME ..." of the two files are apart: a number, or what is
# wrong with them. loss, valid: the largest distance of two values in a column as a part of the column's largest value.
# tensor: of two norms or inner products, as a part of the norm.
figures_apart() {
    awk -v kind="$3" -v name="$4" '
        function size(x) { return x < 0 ? -x : x }
        $1 != kind || $2 != name { next }
        FNR == NR {
            want[$3] = $0
            fields[$3] = NF
            wants++
            for (k = 4; k <= NF; k++) if (size($k) > max[k]) max[k] = size($k)
            next
        }
        !($3 in want) || NF != fields[$3] { bad = bad " " $3; next }
        {
            split(want[$3], w)
            for (k = 4; k <= NF; k++) {
                scale = kind == "tensor" ? w[4] : max[k]
                off = size($k - w[k])
                if (!(off <= 1e30) || $k !~ /^-?[0-9]/) bad = bad " " $3
                else if (off > 0 && off > far * scale) far = scale > 0 ? off / scale : 1e30
            }
            haves++
        }
        END {
            if (bad != "" || wants == 0 || haves != wants)
                print "other lines (" wants + 0 " expected, " haves + 0 " found):" bad
            else printf "%.1e\n", far
        }' "$1" "$2"
}

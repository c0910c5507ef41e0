# shellcheck shell=sh
# progress.sh - the progress of a run, from its config.ini and metrics.jsonl, and the scores of its samples; for pipeline,
# watch, plot, evaluate and reproduce. Source common.sh first.
# SPDX-License-Identifier: Apache-2.0

# shellcheck disable=SC2016 # awk's variables
# An awk function: the number that a key has in a line of JSON, or nothing.
awk_number='function number(key,    start, rest) {
    start = index($0, "\"" key "\":")
    rest = start ? substr($0, start + length(key) + 3) : ""
    return match(rest, /^ *-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?/) ? substr(rest, 1, RLENGTH) + 0 : ""
}'

# progress_fields RUN - print step, steps, loss, tokens per second and remaining seconds; "-" when unknown. Nothing when
# there is no run.
progress_fields() {
    test -f "$1/metrics.jsonl" || return 0
    progress_steps=$(sed -n 's/^steps *= *//p' "$1/config.ini" 2>/dev/null)
    # Only the last lines: the file of a long run has millions.
    tail -n 50 "$1/metrics.jsonl" | awk -v steps="${progress_steps:-0}" "$awk_number"'
        number("loss") != "" { step = number("step"); loss = number("loss"); speed = number("tokens_per_second"); seen = number("tokens_seen") }
        END {
            if (step == "") exit
            eta = speed > 0 && steps > 0 ? (steps - step) * (seen / step) / speed : "-"
            printf "%d %s %.4f %.0f %s\n", step, (steps > 0 ? steps : "-"), loss, speed, (eta == "-" ? eta : int(eta))
        }'
}

# span SECONDS - print a duration in a readable unit.
span() {
    case $1 in
    -) echo "-" ;;
    *) awk -v s="$1" 'BEGIN {
        if (s < 100) printf "%d s\n", s; else if (s < 6000) printf "%d min\n", s / 60
        else if (s < 172800) printf "%.1f h\n", s / 3600; else printf "%.1f d\n", s / 86400 }' ;;
    esac
}

# progress_line RUN - print its progress as text.
progress_line() {
    # shellcheck disable=SC2046 # five fields
    set -- $(progress_fields "$1")
    if test $# = 5; then echo "step $1 of $2, loss $3, $4 tokens/s, $(span "$5") to go"; fi
}

# scores_of FILE - print "sampling-steps Gen-PPL entropy protocol" for each number of steps in a file of flm_generate --json;
# "-" when unknown, 0 steps when the file does not name them.
scores_of() {
    awk "$awk_number"'
        function begin(steps) { sampling = steps + 0; ppl = entropy = "-"; protocol = "clean" }
        function end() { if (ppl != "-" || entropy != "-") print sampling, ppl, entropy, protocol }
        BEGIN { begin(0) }
        /^ *"steps_[0-9]+[a-z0-9_.]*": \{/ { end(); match($0, /[0-9]+/); begin(substr($0, RSTART, RLENGTH)) }
        number("generative_ppl") != "" { ppl = number("generative_ppl") }
        number("entropy") != "" { entropy = number("entropy") }
        match($0, /"protocol": "[a-z]+"/) { protocol = substr($0, RSTART + 13, RLENGTH - 14) }
        END { end() }' "$1"
}

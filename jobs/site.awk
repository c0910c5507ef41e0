# site.awk - site.conf to assignments for the shell, each value in quotes: awk -f site.awk site.conf [MORE.conf], where
# lines of the second take the place of the first's. An unknown key, a key given twice, a value that it cannot have, a
# variable that is not set: one error, naming line and remedy, status 1.
# SPDX-License-Identifier: Apache-2.0
BEGIN {
    known = "partition account qos constraint sbatch gpus_per_node gpu_type cpus_per_node memory_per_node time nodes " \
        "modules export silence launcher bind device precision micro_batch programs data runs logs keep lm1b_url owt_url gpt2"
    count = split(known, keys, " ")
    for (i = 1; i <= count; i++) is_key[keys[i]] = 1
    pattern["gpus_per_node"] = "^[0-9]+$"
    pattern["cpus_per_node"] = "^[1-9][0-9]*$"
    pattern["nodes"] = "^[1-9][0-9]*$"
    pattern["silence"] = "^[0-9]+$"
    pattern["keep"] = "^[0-9]+$"
    pattern["micro_batch"] = "^([0-9]+)?$"
    pattern["memory_per_node"] = "^[1-9][0-9]*[MGT]$"
    pattern["time"] = "^([0-9]+|[0-9]+:[0-9][0-9]:[0-9][0-9]|[0-9]+-[0-9][0-9]:[0-9][0-9]:[0-9][0-9])$"
    pattern["launcher"] = "^(auto|srun|mpirun)$"
    pattern["bind"] = "^(cores|none)$"
    pattern["device"] = "^(auto|cuda|cpu)$"
    pattern["precision"] = "^(auto|bf16|fp32)$"
    pattern["data"] = pattern["runs"] = pattern["logs"] = "^/"
    allowed["memory_per_node"] = "a number with M, G or T"
    allowed["time"] = "minutes, H:MM:SS or D-HH:MM:SS"
    allowed["launcher"] = "auto, srun or mpirun"
    allowed["bind"] = "cores or none"
    allowed["device"] = "cuda, cpu or auto"
    allowed["precision"] = "auto, bf16 or fp32"
    allowed["data"] = allowed["runs"] = allowed["logs"] = "an absolute path"
}
function refuse(text) {
    printf "jobs: error: %s: line %d: %s\n", FILENAME, FNR, text >"/dev/stderr"
    failed = 1
    exit 1
}
# $NAME and ${NAME} by the environment.
function expand(text,    out, name) {
    while (match(text, /\$([A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})/)) {
        name = substr(text, RSTART + 1, RLENGTH - 1)
        gsub(/[{}]/, "", name)
        if (!(name in ENVIRON)) refuse("$" name " is not set here; write the path itself")
        out = out substr(text, 1, RSTART - 1) ENVIRON[name]
        text = substr(text, RSTART + RLENGTH)
    }
    return out text
}
FNR == 1 { split("", seen) }
/^[ \t]*(#|$)/ { next }
{
    at = index($0, "=")
    key = at ? substr($0, 1, at - 1) : $0
    value = at ? substr($0, at + 1) : ""
    gsub(/^[ \t]+|[ \t\r]+$/, "", key)
    gsub(/^[ \t]+|[ \t\r]+$/, "", value)
    if (!at) refuse("\"" key "\": lines are name = value")
    if (!(key in is_key)) refuse("unknown key \"" key "\"; there are: " known)
    if (key in seen) refuse(key " stands in line " seen[key] " already; remove one")
    seen[key] = FNR
    value = expand(value)
    if (key in pattern && value !~ pattern[key])
        refuse(key " = " value ": it takes " (key in allowed ? allowed[key] : "a number"))
    gsub(/'/, "'\\''", value)
    line[key] = "site_" key "='" value "'"
}
END {
    if (failed) exit 1
    for (i = 1; i <= count; i++) {
        if (!(keys[i] in line)) {
            printf "jobs: error: %s: %s is missing; the site.conf that came with the jobs has every key\n", \
                FILENAME, keys[i] >"/dev/stderr"
            exit 1
        }
        print line[keys[i]]
    }
}

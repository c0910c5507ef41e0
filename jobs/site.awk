# site.awk - translate site.conf to shell assignments with quoted values: awk -f site.awk site.conf [MORE.conf]. Lines of
# the second file override those of the first. An unknown key, a key given twice, an invalid value or a variable that is
# not set is an error that names the line; then the exit code is 2.
# SPDX-License-Identifier: Apache-2.0
BEGIN {
    known = "partition account qos constraint sbatch gpus_per_node gpu_type cpus_per_node memory_per_node time nodes " \
        "modules export hang_timeout launcher bind device precision micro_batch programs data runs logs keep lm1b_url owt_url flm_url gpt2"
    new_name["silence"] = "hang_timeout"
    count = split(known, keys, " ")
    for (i = 1; i <= count; i++) is_key[keys[i]] = 1
    pattern["gpus_per_node"] = "^[0-9]+$"
    pattern["cpus_per_node"] = "^[1-9][0-9]*$"
    pattern["nodes"] = "^[1-9][0-9]*$"
    pattern["hang_timeout"] = "^[0-9]+$"
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
    exit 2
}
# Replace $NAME and ${NAME} by the value in the environment.
function expand(text,    out, name) {
    while (match(text, /\$([A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})/)) {
        name = substr(text, RSTART + 1, RLENGTH - 1)
        gsub(/[{}]/, "", name)
        if (!(name in ENVIRON)) refuse("$" name " is not set; write the path itself")
        out = out substr(text, 1, RSTART - 1) ENVIRON[name]
        text = substr(text, RSTART + RLENGTH)
    }
    return out text
}
FNR == 1 { split("", seen) }
/^[ \t]*(#|$)/ { next }
{
    equals = index($0, "=")
    key = equals ? substr($0, 1, equals - 1) : $0
    value = equals ? substr($0, equals + 1) : ""
    gsub(/^[ \t]+|[ \t\r]+$/, "", key)
    gsub(/^[ \t]+|[ \t\r]+$/, "", value)
    if (!equals) refuse("\"" key "\": expected name = value")
    if (key in new_name) refuse("\"" key "\" was renamed: use " new_name[key])
    if (!(key in is_key)) refuse("unknown key \"" key "\"; the keys are: " known)
    if (key in seen) refuse(key " is already set on line " seen[key] "; remove one of them")
    seen[key] = FNR
    value = expand(value)
    if (key in pattern && value !~ pattern[key])
        refuse(key " = " value ": expected " (key in allowed ? allowed[key] : "a number"))
    gsub(/'/, "'\\''", value)
    line[key] = "site_" key "='" value "'"
}
END {
    if (failed) exit 2
    for (i = 1; i <= count; i++) {
        if (!(keys[i] in line)) {
            printf "jobs: error: %s: %s is missing; the site.conf in jobs/ has every key\n", \
                FILENAME, keys[i] >"/dev/stderr"
            exit 2
        }
        print line[keys[i]]
    }
}

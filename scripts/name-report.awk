# name-report.awk - which external functions follow the naming rule; called by name-report.
#
# The rule: an external function is flm_<noun>_<verb>, and one header owns a noun. The noun is a type that the header
# declares (flm_shard: shard) or the module that the header is (io_shard.h: shard, io_shard or io). Where several nouns
# fit, the longest counts, over all types of the tree: flm_shard_index_write belongs to the header of flm_shard_index.
# An internal header (io_internal.h, io_shard_internal.h) may use the types and modules of its folder. Operations have
# the nouns op, cpu and cuda, whatever follows. Names that others prescribe are exempt.
#
# Input: lines of "kind name file line static", where static is "file" or "-"; of the kind "generated" are the prefixes of
# functions that a macro of a header declares. SPDX-License-Identifier: Apache-2.0
function folder_of(file)
{
    sub(/\/[^\/]*$/, "", file)
    return file
}

function is_internal(header) { return header ~ /_internal\.h$/ }

# The modules that a file is, between spaces: src/io/io_shard_internal.h gives " io_shard shard io ".
function modules_of(file, part, module)
{
    sub(/.*\//, "", file)
    sub(/(_internal)?\.[a-z]+$/, "", file)
    part = module = file
    sub(/^[^_]*_/, "", part)
    sub(/_.*/, "", module)
    return " " file " " part " " module " "
}

function may_use(header, noun, owner)
{
    if (noun in type_header) {
        owner = type_header[noun]
        return owner == header || (is_internal(header) && folder_of(owner) == folder_of(header))
    }
    return index(modules_of(header) (is_internal(header) ? folder_modules[folder_of(header)] : ""), " " noun " ") > 0
}

# The longest noun of a function, "" if it has none.
function noun_of(name, header, noun)
{
    noun = substr(name, 5)
    while (sub(/_[^_]+$/, "", noun)) {
        if (noun in type_header || may_use(header, noun)) return noun
    }
    return ""
}

function violation(name, why)
{
    print place[name] ": " name ": " why | sorted
    violations++
}

BEGIN { sorted = "sort -t: -k1,1 -k2,2n" }
!($3 in seen) {
    seen[$3]
    folder_modules[folder_of($3)] = folder_modules[folder_of($3)] modules_of($3)
}
$3 ~ /\.h$/ && $2 ~ /^flm_/ && $1 ~ /^(typedef|struct|union|enum)$/ {
    noun = substr($2, 5)
    if ($1 == "typedef" || !(noun in type_header)) type_header[noun] = $3
}
$3 ~ /\.h$/ && $2 ~ /^[a-z]/ && $1 == "prototype" && $5 == "-" {
    header_of[$2] = $3
    place[$2] = $3 ":" $4
}
$1 == "generated" { generated[$2] = $3 }
# Of a .cu file only the launchers are external, and kernel.h declares them.
$3 ~ /\.c$/ && $1 == "function" && $5 == "-" && $2 !~ /^(main|dlclose|__.*)$/ && !($2 in place) { place[$2] = $3 ":" $4 }

END {
    for (name in place) {
        for (prefix in generated) {
            if (!(name in header_of) && index(name, prefix) == 1) header_of[name] = generated[prefix]
        }
        functions++
        if (name ~ /^flm_(op|cpu|cuda)_/) continue
        if (name !~ /^flm_/) {
            violation(name, "does not begin with flm_")
        } else if (!(name in header_of)) {
            violation(name, "no header declares it")
        } else if ((noun = noun_of(name, header_of[name])) == "") {
            violation(name, "begins with no noun of its header")
        } else if (!may_use(header_of[name], noun)) {
            violation(name, noun " is a type of " type_header[noun])
        } else if (!(noun in type_header) && !is_internal(header_of[name])) {
            module[name] = noun
            if (!((noun, header_of[name]) in used)) headers[noun]++
            used[noun, header_of[name]]
        }
    }
    # Of several headers that use a module as their noun, the one that has its name is the owner.
    for (name in module) {
        noun = module[name]
        if (headers[noun] > 1 && index(modules_of(header_of[name]), " " noun " ") != 1) {
            violation(name, noun " is the noun of " headers[noun] " headers")
        }
    }
    close(sorted)
    percent = functions ? 100 * (functions - violations) / functions : 100
    printf "%d of %d external functions follow the naming rule (%.1f %%)\n", functions - violations, functions, percent
    exit percent < min_percent
}

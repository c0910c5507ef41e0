# shellcheck shell=sh disable=SC2034 # what sources it uses the rest
# fetch.sh - what fetch-lm1b, fetch-owt and fetch-gpt2 share; sourced by them. By curl, taken up where it was cut off,
# held against its sum; a file has its name only when it is whole. SPDX-License-Identifier: Apache-2.0
me=$(basename "$0")
url=
dir=.
sum=
quiet=-sS
if test -t 2; then quiet=; fi

say() { printf '%s: %s\n' "$me" "$*"; }
die() {
    printf '%s: error: %s\n' "$me" "$*" >&2
    exit 1
}
usage_error() {
    printf '%s: error: %s\n' "$me" "$*" >&2
    exit 2
}

# parse ARGUMENTS... - into url, dir, sum and, with an option --size, size.
parse() {
    while test $# -gt 0; do
        case $1 in
        --help | -h)
            sed -n '2,/^# SPDX/{/^# SPDX/d;s/^# \{0,1\}//;p;}' "$0"
            exit 0
            ;;
        --url=* | --dir=* | --sha256=* | --size=*)
            set -- "${1%%=*}" "${1#*=}" "$@"
            option=$1 value=$2
            shift 3
            ;;
        --url | --dir | --sha256 | --size)
            test $# -ge 2 || usage_error "$1 needs a value"
            option=$1 value=$2
            shift 2
            ;;
        *) usage_error "unknown argument '$1'; see --help" ;;
        esac
        test -n "$value" || usage_error "$option needs a value"
        case $option in
        --url) url=$value ;;
        --dir) dir=$value ;;
        --sha256) sum=$value ;;
        --size)
            # shellcheck disable=SC2154 # the script that sources this says which there are
            case " $sizes " in
            *" $value "*) size=$value ;;
            *) usage_error "--size $value: there are ${sizes:-none}" ;;
            esac
            ;;
        esac
    done
    case $sum in
    '') ;;
    *[!0-9a-f]*) usage_error "--sha256 is 64 digits, 0 to 9 and a to f" ;;
    *) test ${#sum} -eq 64 || usage_error "--sha256 is 64 digits, 0 to 9 and a to f" ;;
    esac
    command -v curl >/dev/null 2>&1 || die "curl is needed and is not installed"
    mkdir -p "$dir" || die "$dir: cannot be made"
}

sum_of() {
    if command -v sha256sum >/dev/null 2>&1; then
        sha256sum <"$1"
    elif command -v shasum >/dev/null 2>&1; then
        shasum -a 256 <"$1"
    else
        openssl dgst -sha256 -r <"$1"
    fi | cut -d ' ' -f 1
}

# check FILE SUM - says what came of it; fails when the sums differ. Without SUM it says what the file has.
check() {
    have=$(sum_of "$1")
    test ${#have} -eq 64 || die "no program for SHA-256 sums: sha256sum, shasum or openssl"
    if test -z "$2"; then
        say "$1: its SHA-256 is $have; there is none to hold it against (--sha256)"
    elif test "$have" = "$2"; then
        say "$1: its SHA-256 is the one that it should be"
    else
        return 1
    fi
}

# fetch URL FILE SUM - SUM may be empty.
fetch() {
    if test -e "$2"; then
        check "$2" "$3" || die "$2: is there, but its SHA-256 is $have, not $3; move it away and run this again"
        return 0
    fi
    part=$2.part
    begun=0
    if test -e "$part"; then begun=$(wc -c <"$part"); fi
    if test "$begun" -gt 0; then say "$2: going on at byte $((begun))"; fi
    status=0
    # shellcheck disable=SC2086 # no word where it is empty
    curl $quiet -fL --retry 5 --connect-timeout 30 -C - -o "$part" "$1" || status=$?
    case $status in
    0) ;;
    5 | 6 | 7 | 28 | 35) die "$1: cannot be reached (curl $status): no network here, or the site is down; fetch it elsewhere and give --url file:///PATH, or a mirror's --url" ;;
    22 | 33 | 36) # not there, or nothing is left to fetch, or it cannot be taken up: the sum tells
        if test "$begun" -eq 0; then die "$1: is not there (curl $status); give another --url"; fi
        if test -z "$3" || test "$(sum_of "$part")" != "$3"; then
            die "$1: is not there, or cannot be taken up at byte $begun (curl $status); give another --url or remove $part"
        fi
        ;;
    23) die "$part: cannot be written (curl 23): is the disk full?" ;;
    37) die "$1: cannot be read (curl 37)" ;;
    *) die "$1: curl ended with $status; the same command goes on" ;;
    esac
    test -s "$part" || die "$1: has nothing in it"
    if ! check "$part" "$3"; then
        rm -f "$part"
        die "$1: its SHA-256 is $have, not $3; removed"
    fi
    mv "$part" "$2" || die "$2: cannot be renamed"
    say "$2: is there"
}

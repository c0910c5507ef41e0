# shellcheck shell=sh disable=SC2034 # the scripts that source this file use the other variables
# fetch.sh - sourced by fetch-lm1b, fetch-owt, fetch-gpt2 and fetch-flm: downloads with curl, resumes interrupted downloads, and
# verifies SHA-256 digests. A file gets its final name only after it was verified. SPDX-License-Identifier: Apache-2.0
me=$(basename "$0")
url=
dir=.
expected=
quiet=-sS
if test -t 2; then quiet=; fi

say() { printf '%s: %s\n' "$me" "$*"; }
# die CODE MESSAGE... - exit codes: docs/exit-codes.md.
die() {
    code=$1
    shift
    printf '%s: error: %s\n' "$me" "$*" >&2
    exit "$code"
}
usage_error() { die 2 "$@"; }

# parse ARGUMENTS... - set url, dir, expected (the digest), and chosen, one of the words in choices, by the option --$choice
# of a script that has one.
choice=none choices='' chosen=''
parse() {
    while test $# -gt 0; do
        case $1 in
        --help | -h)
            sed -n '2,/^# SPDX/{/^# SPDX/d;s/^# \{0,1\}//;p;}' "$0"
            exit 0
            ;;
        --url=* | --dir=* | --sha256=* | --"$choice"=*)
            set -- "${1%%=*}" "${1#*=}" "$@"
            option=$1 value=$2
            shift 3
            ;;
        --url | --dir | --sha256 | --"$choice")
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
        --sha256) expected=$value ;;
        --"$choice")
            case " $choices " in
            *" $value "*) chosen=$value ;;
            *) usage_error "$option $value: expected one of $choices" ;;
            esac
            ;;
        esac
    done
    case $expected in
    '') ;;
    *[!0-9a-f]*) usage_error "--sha256: expected 64 hexadecimal digits in lower case" ;;
    *) test ${#expected} -eq 64 || usage_error "--sha256: expected 64 hexadecimal digits in lower case" ;;
    esac
    command -v curl >/dev/null 2>&1 || die 69 "curl is required but not installed"
    mkdir -p "$dir" || die 66 "$dir: cannot be created"
}

digest_of() {
    if command -v sha256sum >/dev/null 2>&1; then
        sha256sum <"$1"
    elif command -v shasum >/dev/null 2>&1; then
        shasum -a 256 <"$1"
    else
        openssl dgst -sha256 -r <"$1"
    fi | cut -d ' ' -f 1
}

# check FILE DIGEST - set found to the digest of FILE; fail if it is not DIGEST. An empty DIGEST always passes.
check() {
    found=$(digest_of "$1")
    test ${#found} -eq 64 || die 69 "no program computes SHA-256: install sha256sum, shasum or openssl"
    if test -z "$2"; then
        say "$1: SHA-256 $found; not verified, as no digest was given (--sha256)"
    elif test "$found" = "$2"; then
        say "$1: SHA-256 verified"
    else
        return 1
    fi
}

# fetch URL FILE DIGEST - download URL to FILE, or verify FILE if it exists. DIGEST may be empty.
fetch() {
    if test -e "$2"; then
        check "$2" "$3" || die 65 "$2: SHA-256 mismatch: found $found, expected $3; move the file away and run this again"
        return 0
    fi
    part=$2.part
    begun=0
    if test -e "$part"; then begun=$(wc -c <"$part"); fi
    if test "$begun" -gt 0; then say "$2: resuming at byte $((begun))"; fi
    status=0
    # shellcheck disable=SC2086 # no argument if it is empty
    curl $quiet -fL --retry 5 --connect-timeout 30 -C - -o "$part" "$1" || status=$?
    case $status in
    0) ;;
    5 | 6 | 7 | 28 | 35) die 69 "$1: cannot be reached (curl error $status): no network, or the site is down; give a mirror by --url, or download the file elsewhere and give --url file:///PATH" ;;
    22 | 33 | 36) # not found; or the partial file is complete already, which its digest shows; or resuming is not possible
        if test "$begun" -eq 0; then die 66 "$1: not found (curl error $status); give another --url"; fi
        if test -z "$3" || test "$(digest_of "$part")" != "$3"; then
            die 66 "$1: not found, or cannot be resumed at byte $begun (curl error $status); give another --url or remove $part"
        fi
        ;;
    23) die 74 "$part: cannot be written (curl error 23): is the disk full?" ;;
    37) die 66 "$1: cannot be read (curl error 37)" ;;
    *) die 69 "$1: curl error $status; run the same command to resume" ;;
    esac
    test -s "$part" || die 65 "$1: the file is empty"
    if ! check "$part" "$3"; then
        rm -f "$part"
        die 65 "$1: SHA-256 mismatch: found $found, expected $3; the download was removed"
    fi
    mv "$part" "$2" || die 74 "$2: cannot be renamed"
    say "$2: complete"
}

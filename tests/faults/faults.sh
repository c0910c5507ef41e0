# shellcheck shell=sh disable=SC2034,SC2154,SC2086 # for those that source it; from tap.sh and train.sh; numbers and commands
# faults.sh - for campaigns of faults: every program that writes, what it starts from, how its output is read after a
# fault, and what the same command must give in the end. Sourced after tests/tap.sh and tests/cmd/train.sh.
#
# A program survives a fault when every file with a final name can still be read and has lost nothing, when the same
# command then completes, and when the result is that of a run without the fault. FAULTS sets the size: empty for make
# check, 1 for make check-faults, 2 for its long form. SPDX-License-Identifier: Apache-2.0
: "${bin:?source train.sh first}" "${tap_folder:?}"
faults_size=${FAULTS:-0}
faults_programs=${FAULTS_PROGRAMS:-"shard train distill generate score score-old export import"}
calls=pwrite64,write,rename,renameat,renameat2,ftruncate,fallocate,unlink,unlinkat,symlink,mkdir,fsync

# faults_setup - inputs for all programs, and the results without a fault in ref-PROGRAM.
faults_setup() {
    small="--batch 4 --warmup 0 --precision fp32 --threads 1 --log-every 1 --eval-every 0 --keep 2 --checkpoint-every 1"
    shape="--preset tiny --hidden-size 32 --heads 2 --cond-size 16 --blocks 1"
    once="--precision fp32 --threads 1"
    i=0
    while test $i -lt 60; do
        echo "line $i of a text with a number: $((i * 7919 % 1000))"
        i=$((i + 1))
    done >text
    "$bin/flm_shard" --out shards --length 16 --tokenizer bytes --valid-last 5 text >/dev/null 2>err || cat err
    # shellcheck disable=SC2086 # several options
    {
        "$bin/flm_train" --data shards --out flm $shape $small --steps 2 >/dev/null 2>err || cat err
        "$bin/flm_distill" --data shards --out map --teacher flm $small --steps 2 >/dev/null 2>err || cat err
    }
    "$bin/tests/score/score_files" gpt2 gpt2.h5 2>err || cat err
    "$bin/flm_convert" flm/checkpoints/latest weights.safetensors >/dev/null 2>err || cat err
    "$bin/flm_convert" gpt2.h5 old.safetensors >/dev/null 2>err || cat err
    mkdir samples
    (cd samples && faults_command generate && $command >/dev/null 2>err) || cat samples/err
    for program in $faults_programs; do
        faults_begin
        faults_run
        test $status = 0 || cat w/err
        rm -rf "ref-$program" && mv w "ref-$program"
        faults_digest "ref-$program" >"ref-$program.txt"
    done
}

# faults_command PROGRAM - set command, to be run in a folder of its own.
faults_command() {
    top=$tap_folder
    case $1 in
    shard) command="$bin/flm_shard --out sh --length 16 --tokenizer bytes --valid-last 5 --shard-bytes 1000 $top/text" ;;
    train) command="$bin/flm_train --data $top/shards --out run $shape $small --steps 4" ;;
    distill) command="$bin/flm_distill --data $top/shards --out run --teacher $top/flm $small --steps 4" ;;
    generate) command="$bin/flm_generate --checkpoint $top/flm --samples 3 --steps 2,1 --batch 2 $once --out s.h5 --json s.json" ;;
    score | score-old) command="$bin/flm_score --gpt2 $top/gpt2.h5 $once --json s.json s.h5" ;;
    export) command="$bin/flm_convert $top/flm/checkpoints/latest out.safetensors" ;;
    import) command="$bin/flm_convert $top/weights.safetensors out.h5 --tokenizer bytes --length 16" ;;
    esac
}

# faults_begin - the folder w, as $program finds it.
faults_begin() {
    rm -rf w && mkdir w
    case $program in
    train) cp -r flm w/run ;;
    distill) cp -r map w/run ;;
    score) cp samples/s.h5 w ;;
    score-old) cp "$abs_top_srcdir/tests/compat/files-0.1.0/samples-flm.h5" w/s.h5 && chmod u+w w/s.h5 ;;
    export) cp old.safetensors w/out.safetensors ;;
    import) cp gpt2.h5 w/out.h5 ;;
    esac
    faults_command "$program"
}

# faults_run [PREFIX...] - run $program in w, with a command before it; status.
faults_run() {
    # shellcheck disable=SC2086 # a command
    (cd w && exec timeout -k 5 60 "$@" $command >out 2>err </dev/null)
    status=$?
}

ids() { for n in 1 2 4; do "$tool" ids "$1" $n 2>/dev/null; done; }

# faults_digest DIR - what the command has made, apart from times.
faults_digest() {
    (
        cd "$1" || exit 1
        find . -type f ! -name out ! -name err ! -name metrics.jsonl ! -name trace ! -name config.ini | sort
        case $program in
        shard) sha256sum sh/*.h5 ;;
        train | distill) "$bin/flm_inspect" run/checkpoints/latest | sed 1d && sha256sum run/checkpoints/step-*.h5 && curve run ;;
        generate | score*)
            ids s.h5
            for n in 1 2 4; do "$bin/tests/score/score_files" scores s.h5 $n 2>/dev/null; done
            "$bin/flm_inspect" s.h5 | sed 1d
            cat s.json
            ;;
        export) sha256sum out.safetensors ;;
        import) sha256sum out.h5 ;;
        esac
    ) 2>&1
}

# faults_intact - whether everything with a final name in w can be read and has lost nothing.
faults_intact() {
    case $program in
    shard) test ! -e w/sh/index.h5 || "$bin/flm_inspect" w/sh ;;
    train | distill) "$bin/flm_inspect" w/run/checkpoints/latest && "$bin/flm_inspect" w/run ;;
    generate) test ! -e w/s.h5 || "$bin/flm_inspect" w/s.h5 ;;
    score) "$bin/flm_inspect" w/s.h5 && test "$(ids w/s.h5)" = "$(ids samples/s.h5)" ;;
    score-old)
        "$bin/flm_inspect" w/s.h5 &&
            test "$(ids w/s.h5)" = "$(ids "$abs_top_srcdir/tests/compat/files-0.1.0/samples-flm.h5")"
        ;;
    export) cmp w/out.safetensors old.safetensors || cmp w/out.safetensors ref-export/out.safetensors ;;
    import) cmp w/out.h5 gpt2.h5 || cmp w/out.h5 ref-import/out.h5 ;;
    esac >intact 2>&1
}

# faults_count - zero the counts. faults_judge WHAT - after a fault with exit code $status: count how it went. The same
# command is run with $again before it.
again=
faults_count() { tried=0 survived=0 lost=0 failed=0 differs=0 crashed=0 hung=0; }
faults_judge() {
    tried=$((tried + 1)) bad=
    case $status in
    124) hung=$((hung + 1)) bad=hang ;;
    134 | 135 | 136 | 139) crashed=$((crashed + 1)) bad=crash ;;
    esac
    if ! faults_intact; then
        lost=$((lost + 1)) bad="$bad lost"
        sed 's/^/#   /' intact
    fi
    # shellcheck disable=SC2086 # a command
    faults_run $again
    if test $status != 0; then
        failed=$((failed + 1)) bad="$bad not completed"
        sed 's/^/#   /' w/err
    elif ! faults_digest w >digest || ! diff "ref-$program.txt" digest >difference; then
        differs=$((differs + 1)) bad="$bad differs"
        head -n 12 difference | sed 's/^/#   /'
    fi
    if test -z "$bad"; then survived=$((survived + 1)); else echo "# $program: $1:$bad"; fi
}

# faults_report FAULT - one test, and the line of the table for make check-faults.
faults_report() {
    printf '#TABLE %-10s %-22s %6d %6d %5d %5d %5d %5d %5d\n' "$program" "$1" $tried $survived $lost $failed $differs $crashed $hung
    test $tried -gt 0 && test $tried = $survived
    tap_ok $? "flm $program: $1: $survived of $tried survived"
}

# faults_have_strace - whether calls can be traced and changed here.
faults_have_strace() {
    command -v strace >/dev/null 2>&1 &&
        strace -f -qq -o /dev/null -e trace=write -e inject=write:error=ENOSPC:when=1 true >/dev/null 2>&1
}

# faults_calls - a line "CALL N" for each system call of $program that changes a file of w: the N-th CALL of its main
# thread. The names of fsync are left out: what a kill leaves before it, it leaves after it.
faults_calls() {
    faults_begin
    faults_run strace -f -y -qq -o trace -e "trace=$calls"
    awk -v folder="<$tap_folder/w" '
        main == "" { main = $1 }
        $1 != main || !match($2, /^[a-z0-9]+\(/) { next }
        {
            call = substr($2, 1, RLENGTH - 1)
            n[call]++
            if (call == "fsync") next
            if (call ~ /^(pwrite64|write|ftruncate|fallocate)$/ ? !index($0, folder) || /w\/(out|err|trace)>/ : /"\/(dev|proc|sys|tmp\/(ompi|pmix))/) next
            print call, n[call]
        }' w/trace
}

# faults_some COUNT - about COUNT lines of the input, spread over it; all where COUNT is 0.
faults_some() {
    awk -v want="$1" '{ line[NR] = $0 } END {
        step = want == 0 || NR <= want ? 1 : NR / want
        for (at = 1; int(at) <= NR; at += step) print line[int(at)]
    }'
}

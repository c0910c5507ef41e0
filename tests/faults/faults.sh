# shellcheck shell=sh disable=SC2034,SC2154,SC2086,SC2012,SC2046 # for those that source it; from tap.sh and train.sh; numbers and commands; names
# faults.sh - for campaigns of faults: every program that writes, what it starts from, how its output is read after a
# fault, and what the same command must give in the end. Sourced after tests/tap.sh and tests/cmd/train.sh.
#
# A program survives a fault when every file with a final name can still be read and has lost nothing, when the same
# command then completes, and when the result is that of a run without the fault.
# FAULTS sets the size: empty for make check, 1 for make check-faults, 2 for its long form. With 1 a test works in rounds
# until FAULTS_SECONDS have passed since its begin. FAULTS_PROGRAMS limits the programs. SPDX-License-Identifier: Apache-2.0
: "${bin:?source train.sh first}" "${tap_folder:?}"
faults_size=${FAULTS:-0}
faults_programs=${FAULTS_PROGRAMS:-"shard train distill generate score score-old export import"}
faults_end=$(($(date +%s) + ${FAULTS_SECONDS:-0}))
# Seconds after which a command counts as hung. It takes about one, and some more on a busy machine.
faults_limit=300
# Open MPI opens no transports that these programs do not use, which takes most of their time.
OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,vader
export OMPI_MCA_pml OMPI_MCA_btl
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
    train) command="$bin/flm_train --data $top/shards --out run $shape $small --steps 3" ;;
    distill) command="$bin/flm_distill --data $top/shards --out run --teacher $top/flm $small --steps 3" ;;
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

# faults_run [PREFIX...] - run $program in w, with a command before it; status, and whether it hung. A program that hangs
# does not poll for SIGTERM either, so that its status may be that of a kill.
faults_run() {
    run_begin=$(date +%s)
    # shellcheck disable=SC2086 # a command
    (cd w && exec timeout -k 5 $faults_limit "$@" $command >out 2>err </dev/null)
    status=$?
    faults_hung
}
faults_hung() {
    hung=
    test $(($(date +%s) - run_begin)) -lt $faults_limit || hung=" hung"
}

ids() { for n in 1 2 4; do "$tool" ids "$1" $n 2>/dev/null; done; }

# faults_digest DIR - what the command has made, apart from times; from what a kill may leave: the file of a lock, which
# means nothing, and checkpoints that are older than the two of --keep, which the next save removes.
faults_digest() {
    (
        cd "$1" || exit 1
        find . -type f ! -name out ! -name err ! -name metrics.jsonl ! -name trace ! -name config.ini ! -name '.*lock' ! -name 'step-*.h5' | sort
        case $program in
        shard) sha256sum sh/*.h5 ;;
        train | distill) "$bin/flm_inspect" run/checkpoints/latest | sed 1d && sha256sum $(ls -d run/checkpoints/step-* | tail -n 2) && curve run ;;
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
    train | distill) "$bin/flm_inspect" w/run/checkpoints/latest w/run ;;
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

# faults_judge FAULT WHAT - after a fault with exit code $status: record in `judged` how it went. The same command is run
# again, with $again before it, and the result compared with ref-$program$ranked.txt.
again='' ranked=''
: >judged
faults_judge() {
    bad=$hung
    case $status in 134 | 135 | 136 | 139) bad="$bad crashed" ;; esac
    if ! faults_intact; then
        bad="$bad lost"
        sed 's/^/#   /' intact
    fi
    # shellcheck disable=SC2086 # a command
    faults_run $again
    if test $status != 0; then
        bad="$bad incomplete$hung"
        echo "#   exit code $status"
        sed 's/^/#   /' w/err
    elif ! faults_digest w >digest || ! diff "ref-$program$ranked.txt" digest >difference; then
        bad="$bad differs"
        head -n 12 difference | sed 's/^/#   /'
    fi
    test -z "$bad" || echo "# $program: $2:$bad"
    echo "$program;$1;${bad:-survived}" >>judged
}

# faults_rounds MIN STEP - call STEP for each program, with $round = 1, 2, ..., as long as it has something left to do,
# which it says by its status: at least MIN rounds, and further ones while there is time, or all where there is no limit.
faults_rounds() {
    round=0 rounds_left=$faults_programs
    while test -n "$rounds_left"; do
        round=$((round + 1))
        test $round -le "$1" || faults_time || break
        rounds_next=
        for program in $rounds_left; do
            if "$2"; then rounds_next="$rounds_next $program"; fi
        done
        rounds_left=$rounds_next
    done
}
faults_time() {
    case $faults_size in
    0) return 1 ;;
    1) test "$(date +%s)" -lt $faults_end ;;
    esac
}

# faults_report FAULT - a test and a line of the table for each program.
faults_report() {
    for program in $faults_programs; do
        line=$(awk -F ';' -v program="$program" -v fault="$1" '
            $1 == program && $2 == fault {
                tried++
                survived += $3 == "survived"
                n = split("lost incomplete differs crashed hung", bad, " ")
                for (i = 1; i <= n; i++) count[i] += index($3, bad[i]) > 0
            }
            END { print tried + 0, survived + 0, count[1] + 0, count[2] + 0, count[3] + 0, count[4] + 0, count[5] + 0 }' judged)
        # shellcheck disable=SC2086 # seven numbers
        printf "#TABLE %-10s %-22s %6d %8d %5d %10d %7d %7d %5d\n" "$program" "$1" $line
        test "${line%% *}" -gt 0 && echo "$line" | awk '$1 != $2 { exit 1 }'
        tap_ok $? "flm $program: $1: $(echo "$line" | awk '{ print $2, "of", $1 }') survived"
    done
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

# faults_spread - the lines of the input in an order whose first lines are spread over it, by the golden ratio.
faults_spread() { awk '{ x = NR * 0.6180339887; print x - int(x), $0 }' | LC_ALL=C sort -n | cut -d ' ' -f 2-; }

/* options.c - the option tables: good and bad command lines and configuration files, help, version, the record.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/base_options.h"
#include "tests/tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct program_values {
    int64_t steps, seed;
    double rate;
    bool resume;
    const char *data, *name, *list;
    int device;
} program_values;

static const char *const devices[] = {"auto", "cpu", "cuda", NULL};
#define AT(member)     offsetof(program_values, member)
#define FLM_OPT_STRUCT program_values
static const flm_option rows[] = {
    FLM_OPT_GROUP("Training"),
    FLM_OPT_INT("steps", steps, "100", "N", "Steps to take", .min = 1, .max = 1000000),
    FLM_OPT_FLOAT("lr", rate, "3e-4", "RATE", "Learning rate", .max = 1),
    FLM_OPT_GROUP("Run"),
    FLM_OPT_BOOL("resume", resume, "no", "Go on"),
    FLM_OPT_STRING("data", data, NULL, "DIR", "Shard directory", .required = true),
    FLM_OPT_STRING(
        "name", name, NULL, "TEXT",
        "a name of so many words that they fill more than one line of the help, and then\none line\ntwo lines"),
    FLM_OPT_CHOICE("device", device, "auto", devices, "Where to run"),
    FLM_OPT_LIST("eval-steps", list, "1,2", "N,...", "Numbers of steps"),
    FLM_OPT_INT("seed", seed, "1", "N", "seed", .min = -100),
};
static const flm_option_value places[] = {{"1", "cpu"}, {"2", "cuda"}, {NULL, NULL}};
static const flm_option_rename renamed[] = {{.old_name = "state", .new_name = "data"},
                                            {.old_name = "go", .new_name = "resume"},
                                            {.old_name = "place", .new_name = "device", .values = places},
                                            {.old_name = "speed", .reason = "the road has a limit"},
                                            {0}};
enum { OPTIONS = 8, WORDS = 12 };

static program_values values;
static flm_options *options;
static bool stopped;
static char config_path[] = "options-test.XXXXXX";

/* Words parted by '|'; "@" stands for the configuration file's path. */
static flm_status parse(const char *line, const char *positional, bool is_root)
{
    static flm_options_spec spec = {
        .program = "flm_test", .purpose = "Test the options.", FLM_OPT_ROWS(rows), .renamed = renamed};
    static char copy[4096], config_word[64];
    char *argv[WORDS + 2] = {"flm_test"}, *rest = copy, *word;
    int argc = 1;

    flm_options_destroy(&options);
    flm_err_clear();
    memset(&values, 0, sizeof values);
    stopped = false;
    snprintf(copy, sizeof copy, "%s", line);
    snprintf(config_word, sizeof config_word, "--config=%s", config_path);
    while (*line && argc < WORDS && (word = strsep(&rest, "|")))
        argv[argc++] = strcmp(word, "--config=@") == 0 ? config_word : *word == '@' ? config_path : word;
    spec.arguments = positional;
    return flm_options_parse(&spec, argc, argv, &values, is_root, &stopped, &options);
}

static void config(const char *text, size_t bytes)
{
    FILE *file = fopen(config_path, "wb");

    if (!file || fwrite(text, 1, bytes, file) != bytes) tap_ok(0, "the test's own file is written");
    if (file) fclose(file);
}

/* What every good line says of each option. */
static const struct good_line {
    const char *line, *file, *steps, *rate, *resume, *data, *name, *device, *list;
} good[] = {
    {"--data=d", NULL, "100", "0.0003", "no", "d", "", "auto", "1,2"},
    {"--data|d|--steps|1|--lr=1|--resume", NULL, "1", "1", "yes", "d", "", "auto", "1,2"},
    {"--data=d|--steps=1000000|--lr|0|--resume=no|--device=cuda", NULL, "1000000", "0", "no", "d", "", "cuda", "1,2"},
    {"--data=a|--data=b", NULL, "100", "0.0003", "no", "b", "", "auto", "1,2"},
    {"--data=d|--steps|+7|--lr|1.5e-3", NULL, "7", "0.0015", "no", "d", "", "auto", "1,2"},
    {"--data=d|--name=a = b # c|--eval-steps=", NULL, "100", "0.0003", "no", "d", "a = b # c", "auto", ""},
    {"--data=--steps", NULL, "100", "0.0003", "no", "--steps", "", "auto", "1,2"},
    {"--data|--steps", NULL, "100", "0.0003", "no", "--steps", "", "auto", "1,2"},
    {"--config|@", "data = d\nsteps=5\n", "5", "0.0003", "no", "d", "", "auto", "1,2"},
    {"--config|@|--config|@", "data = d\nsteps=5\n", "5", "0.0003", "no", "d", "", "auto", "1,2"},
    {"--config|@|--steps=6", "data = d\nsteps=5\n", "6", "0.0003", "no", "d", "", "auto", "1,2"},
    {"--steps=6|--config|@", "steps=5\ndata = d", "6", "0.0003", "no", "d", "", "auto", "1,2"},
    {"--config|@", "# all\n\n  data\t=  d e  # why\r\nresume = true\n#steps = 9\nname = \"x # \\\"y\\\\\" # z\n", "100",
     "0.0003", "yes", "d e", "x # \"y\\", "auto", "1,2"},
    {"--config|@|--data=d", "name = a#b\nlr = .5\ndevice = cpu\neval-steps = 4,8\n", "100", "0.5", "no", "d", "a#b",
     "cpu", "4,8"},
    {"--config|@|--data=d", "name = \"\"\n", "100", "0.0003", "no", "d", "", "auto", "1,2"},
    {"--config|@|--data=d", "", "100", "0.0003", "no", "d", "", "auto", "1,2"},
    {"--config|@", "state = d\nplace = 2\n", "100", "0.0003", "no", "d", "", "cuda", "1,2"},
    {"--config|@", "state = d\ngo = yes\n", "100", "0.0003", "yes", "d", "", "auto", "1,2"},
};

static bool is(const char *name, const char *expected)
{
    return strcmp(flm_options_value(options, name), expected) == 0;
}

static void test_good(void)
{
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const struct good_line *g = &good[i];
        flm_status rc;
        if (g->file) config(g->file, strlen(g->file));
        rc = parse(g->line, NULL, false);
        tap_ok(rc == FLM_OK && !stopped && is("steps", g->steps) && is("lr", g->rate) && is("resume", g->resume) &&
                   is("data", g->data) && is("name", g->name) && is("device", g->device) && is("eval-steps", g->list) &&
                   strcmp(values.data, g->data) == 0 && strcmp(values.name, g->name) == 0 &&
                   strcmp(values.list, g->list) == 0 && values.steps == atoll(g->steps) &&
                   values.rate == atof(g->rate) && values.resume == (g->resume[0] == 'y') &&
                   strcmp(devices[values.device], g->device) == 0,
               "good: %s %s", g->line, rc ? flm_err_message() : "");
    }
    parse("--data=d|--seed=9007199254740992", NULL, false);
    tap_ok(values.seed == INT64_C(1) << 53, "without a maximum every integer is allowed that a double has exactly");
    parse("--data=d|--lr=0.1", NULL, false);
    tap_ok(values.rate == 0.1 && is("lr", "0.1"), "a number is recorded with the digits it needs");
    tap_ok(flm_options_given(options, "lr") && flm_options_given(options, "data") &&
               !flm_options_given(options, "steps") && !flm_options_given(options, "no-such"),
           "given and not given are told apart");
    tap_ok(flm_options_count(options) == OPTIONS && strcmp(flm_options_name(options, 1), "lr") == 0,
           "the table is walked");
}

/* What every refusal must name: the option, and what is allowed or wrong. */
static const struct bad_line {
    const char *line, *file, *names, *says;
} bad[] = {
    {"", NULL, "--data", "required"},
    {"--data=", NULL, "--data", "required"},
    {"--data=d|--step=5", NULL, "--step", "unknown option"},
    {"--data=d|--no-such", NULL, "--no-such", "unknown option"},
    {"--data=d|--no-such=3", NULL, "--no-such", "unknown option"},
    {"--data=d|--Steps=3", NULL, "--Steps", "unknown option"},
    {"--data=d|-s|3", NULL, "-s", "unknown option"},
    {"--data=d|-steps", NULL, "-steps", "unknown option"},
    {"--data=d|--=3", NULL, "--", "unknown option"},
    {"--data=d|--steps", NULL, "--steps", "needs a value"},
    {"--data=d|--help=now", NULL, "--help", "expected --help, --help=man"},
    {"--data=d|--version=now", NULL, "--version", "takes no value"},
    {"--data=d|file", NULL, "file", "unexpected argument"},
    {"--data=d|--|--steps", NULL, "--steps", "unexpected argument"},
    {"--data=d|-", NULL, "-", "unexpected argument"},
    {"--data=d|--steps=", NULL, "--steps", "from 1 to 1000000"},
    {"--data=d|--steps=0", NULL, "--steps", "from 1 to 1000000"},
    {"--data=d|--steps=-1", NULL, "--steps", "from 1 to 1000000"},
    {"--data=d|--steps=1000001", NULL, "--steps", "from 1 to 1000000"},
    {"--data=d|--steps=3k", NULL, "--steps", "an integer"},
    {"--data=d|--steps=1e3", NULL, "--steps", "an integer"},
    {"--data=d|--steps=0x10", NULL, "--steps", "an integer"},
    {"--data=d|--steps= 3", NULL, "--steps", "an integer"},
    {"--data=d|--steps=3 ", NULL, "--steps", "an integer"},
    {"--data=d|--steps=+-3", NULL, "--steps", "an integer"},
    {"--data=d|--steps=99999999999999999999", NULL, "--steps", "an integer"},
    {"--data=d|--seed=9223372036854775808", NULL, "--seed", "an integer of at least -100"},
    {"--data=d|--seed=9007199254740994", NULL, "--seed", "an integer of at least -100"},
    {"--data=d|--seed=-101", NULL, "--seed", "an integer of at least -100"},
    {"--data=d|--go", NULL, "--go", "was renamed: use --resume"},
    {"--state=d", NULL, "--state", "was renamed: use --data"},
    {"--data=d|--place=1", NULL, "--place", "was renamed: use --device cpu (1) or cuda (2)"},
    {"--data=d|--speed=3", NULL, "flm_test has no --speed", "the road has a limit"},
    {"--config=@", "data = d\nspeed = 3\n", ":2: flm_test has no option 'speed'", "the road has a limit"},
    {"--config=@", "data = d\nstate = e\n", ":2: data", "twice, first on line 1"},
    {"--data=d|--lr=nan", NULL, "--lr", "number from 0 to 1"},
    {"--data=d|--lr=inf", NULL, "--lr", "number from 0 to 1"},
    {"--data=d|--lr=1e999", NULL, "--lr", "number from 0 to 1"},
    {"--data=d|--lr=1.0001", NULL, "--lr", "number from 0 to 1"},
    {"--data=d|--lr=-1e-9", NULL, "--lr", "number from 0 to 1"},
    {"--data=d|--lr=0.5f", NULL, "--lr", "number from 0 to 1"},
    {"--data=d|--lr=", NULL, "--lr", "number from 0 to 1"},
    {"--data=d|--resume=maybe", NULL, "--resume", "yes or no"},
    {"--data=d|--resume=", NULL, "--resume", "yes or no"},
    {"--data=d|--resume|yes", NULL, "yes", "unexpected argument"},
    {"--data=d|--device=gpu", NULL, "--device", "auto, cpu, cuda"},
    {"--data=d|--device=", NULL, "--device", "auto, cpu, cuda"},
    {"--data=d|--name=a\nb", NULL, "--name", "control characters"},
    {"--data=d|--config", NULL, "--config", "needs a value"},
    {"--config=@", "data = d\nstesp = 5\n", ":2", "unknown option 'stesp'"},
    {"--config=@", "data = d\nconfig = x\n", ":2", "unknown option 'config'"},
    {"--config=@", "data = d\n\n# c\nsteps = 0\n", ":4: steps", "from 1 to 1000000"},
    {"--config=@", "data = d\nsteps = 5 6\n", ":2: steps", "an integer"},
    {"--config=@", "data = d\nsteps\n", ":2", "name = value"},
    {"--config=@", "data = d\n= 5\n", ":2", "unknown option ''"},
    {"--config=@", "data = d\n[run]\n", ":2", "name = value"},
    {"--config=@", "data = d\ndata = e\n", ":2: data", "twice, first on line 1"},
    {"--config=@", "data = \"d\n", ":1: data", "closing quote"},
    {"--config=@", "data = \"d\\\"\n", ":1: data", "closing quote"},
    {"--config=@", "data = \"d\" e\n", ":1: data", "after the quoted value"},
    {"--config=@", "data = d\ndata = \n", ":2: data", "twice"},
    {"--config=@", "data = # d\n", "--data", "required"},
    {"--config=@", "data = a\x01z\n", ":1: data", "control characters"},
    {"--config=@|--steps=0", "data = d\n", "--steps", "from 1 to 1000000"},
};

static void test_bad(void)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct bad_line *b = &bad[i];
        flm_status rc;
        if (b->file) config(b->file, strlen(b->file));
        rc = parse(b->line, NULL, false);
        tap_ok(rc == FLM_E_USAGE && options == NULL && strstr(flm_err_message(), b->names) &&
                   strstr(flm_err_message(), b->says),
               "bad: %d: %d %s", (int)i, rc, flm_err_message());
    }
}

static void test_files(void)
{
    char *big = malloc(3 << 20);

    tap_ok(parse("--data=d|--config=no/such/file", NULL, false) == FLM_E_MISSING &&
               strstr(flm_err_message(), "--config: no/such/file: cannot be opened: No such file"),
           "a file that is not there: %s", flm_err_message());
    tap_ok(parse("--data=d|--config=.", NULL, false) == FLM_E_MISSING && strstr(flm_err_message(), "directory"),
           "a directory: %s", flm_err_message());
    config("data = d\nname = a\0b\n", 20);
    tap_ok(parse("--config=@", NULL, false) == FLM_E_USAGE && strstr(flm_err_message(), ":2: a NUL byte"),
           "a NUL byte: %s", flm_err_message());
    if (big) memset(big, '\n', 3 << 20);
    config(big ? big : "", big ? 3 << 20 : 0);
    tap_ok(parse("--data=d|--config=@", NULL, false) == FLM_E_FORMAT &&
               strstr(flm_err_message(), "larger than 1048576 bytes"),
           "a file too big: %s", flm_err_message());
    free(big);
}

/* What is written is read back the same. */
static void test_round_trip(void)
{
    char before[2048] = "", after[2048] = "";
    FILE *file;
    bool wrote;

    parse("--data= a \"b\\ # c|--steps=12|--lr=0.1|--resume|--device=cpu|--name=#x|--eval-steps=", NULL, false);
    for (int i = 0; i < OPTIONS; i++) {
        size_t used = strlen(before);
        const char *name = flm_options_name(options, i);
        snprintf(before + used, sizeof before - used, "%s=%s\n", name, flm_options_value(options, name));
    }
    file = fopen(config_path, "wb");
    wrote = file && flm_options_write(options, file) == FLM_OK;
    if (file) fclose(file);
    tap_ok(wrote && parse("--config=@", NULL, false) == FLM_OK, "its own record is read: %s", flm_err_message());
    for (int i = 0; i < OPTIONS && options; i++) {
        size_t used = strlen(after);
        const char *name = flm_options_name(options, i);
        snprintf(after + used, sizeof after - used, "%s=%s\n", name, flm_options_value(options, name));
    }
    tap_ok(*before && strcmp(before, after) == 0, "and says the same");
    file = fopen("/dev/full", "wb");
    if (file && options)
        tap_ok(flm_options_write(options, file) == FLM_E_IO, "a full disk is said: %s", flm_err_message());
    else
        tap_skip("a full disk is said", "no /dev/full");
    if (file) fclose(file);
}

/* What a parse prints on stdout. */
static const char *printed(const char *line, bool is_root)
{
    static char text[8192];
    FILE *file = tmpfile();
    int saved = dup(STDOUT_FILENO);
    size_t n = 0;

    fflush(stdout);
    if (file && saved >= 0 && dup2(fileno(file), STDOUT_FILENO) >= 0) {
        flm_status rc = parse(line, NULL, is_root);
        fflush(stdout);
        dup2(saved, STDOUT_FILENO);
        rewind(file);
        n = fread(text, 1, sizeof text - 1, file);
        if (rc) n = 0;
    }
    text[n] = '\0';
    if (saved >= 0) close(saved);
    if (file) fclose(file);
    return text;
}

static void test_help(void)
{
    const char *text = printed("--help", true), *training = strstr(text, "Training"), *run = strstr(text, "Run");

    tap_ok(stopped && training && run && training < strstr(text, "--steps=N") && strstr(text, "--steps=N") < run &&
               run < strstr(text, "--device="),
           "--help is grouped");
    tap_ok(strstr(text, "(1 to 1000000; default 100)") && strstr(text, "(required)") &&
               strstr(text, "--device=auto|cpu|cuda") && strstr(text, "--resume[=yes|no]") &&
               strstr(text, "--config=FILE") && strstr(text, "--version"),
           "with defaults, choices and what every program has");
    bool fits = true;
    for (const char *line = text; *line; line += strcspn(line, "\n") + (strchr(line, '\n') != NULL)) {
        const size_t length = strcspn(line, "\n");
        fits &= length < 80 && (length == 0 || line[length - 1] != ' ');
    }
    tap_ok(fits && strstr(text, "one line\n                          two lines"),
           "wrapped at 80 columns, and where the table says");
    tap_ok(printed("--help", false)[0] == '\0' && stopped, "the other ranks are silent and stop too");
    text = printed("--version|--steps=5", true);
    tap_ok(stopped && strncmp(text, "flm_test ", 9) == 0 && strstr(text, "(git ") && strchr(text, '\n')[1] == '\0',
           "--version is one line: %.40s", text);
}

static void test_positional(void)
{
    const char *const *words;
    int count = -1;

    tap_ok(parse("a|--data=d|b c|--|--steps", "FILE...", false) == FLM_OK, "arguments are allowed where described");
    words = flm_options_positional(options, &count);
    tap_ok(count == 3 && strcmp(words[0], "a") == 0 && strcmp(words[1], "b c") == 0 && strcmp(words[2], "--steps") == 0,
           "and come in order");
    parse("--data=d", "FILE...", false);
    flm_options_positional(options, &count);
    tap_ok(count == 0, "none given, none there");
}

static void test_replace(void)
{
    parse("--data=d|--lr=0.5", NULL, false);
    tap_ok(flm_options_replace(options, "steps", "7") == FLM_OK && values.steps == 7 && is("steps", "7") &&
               !flm_options_given(options, "steps"),
           "an option with its default gets another one");
    tap_ok(flm_options_replace(options, "steps", "0") == FLM_E_USAGE && values.steps == 7, "%s", flm_err_message());
    tap_ok(flm_options_replace(options, "lr", "1") == FLM_E_ARG && values.rate == 0.5, "one that was given does not");
    tap_ok(flm_options_replace(options, "no-such", "1") == FLM_E_ARG, "nor one that is not there");
}

static void test_lists(void)
{
    static const char *const wrong[] = {"", ",", "1,", ",1", "1,,2", "1 ,2", "1,x", "0,1", "1,9", "1;2", "1,-1"};
    int64_t *list = NULL;
    int count = 0, refused = 1;

    tap_ok(flm_options_int_list("steps", "1,2,8", 1, 8, &list, &count) == FLM_OK && count == 3 && list[0] == 1 &&
               list[1] == 2 && list[2] == 8,
           "a list of three");
    free(list);
    list = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        refused &= flm_options_int_list("steps", wrong[i], 1, 8, &list, &count) == FLM_E_USAGE && !list &&
                   strstr(flm_err_message(), "--steps: ") && strstr(flm_err_message(), "from 1 to 8");
    tap_ok(refused, "bad lists are refused: %s", flm_err_message());
    double *numbers = NULL;
    tap_ok(flm_options_float_list("noise-level", "0,0.8,1", 0, 1, &numbers, &count) == FLM_OK && count == 3 &&
               numbers[0] == 0 && numbers[1] == 0.8 && numbers[2] == 1,
           "a list of three numbers");
    free(numbers);
    static const char *const refused_lists[] = {"", "0,", "1.5", "0,nan", "-0.1", "0 1"};
    for (int i = 0; i < 6; i++)
        tap_ok(flm_options_float_list("noise-level", refused_lists[i], 0, 1, &numbers, &count) == FLM_E_USAGE,
               "refused: '%s'", refused_lists[i]);
}

int main(void)
{
    int fd = mkstemp(config_path);

    if (fd >= 0) close(fd);
    tap_ok(fd >= 0, "a place for the configuration file");
    test_good();
    test_bad();
    test_files();
    test_round_trip();
    test_help();
    test_positional();
    test_replace();
    test_lists();
    flm_options_destroy(&options);
    flm_options_destroy(&options);
    tap_ok(options == NULL, "destroyed twice, the second time nothing");
    unlink(config_path);
    return tap_end();
}

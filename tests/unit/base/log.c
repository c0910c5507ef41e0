/* log.c - the log goes to stderr in its one form, filtered by level and rank. SPDX-License-Identifier: Apache-2.0 */
#include "base/base_log.h"
#include "tests/tap.h"

#include <string.h>
#include <unistd.h>

static char got[8192];

/* What the call left on stderr. */
static const char *captured(flm_log_level level, const char *text)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    size_t n = 0;

    fflush(stderr);
    if (file && saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0) {
        flm_log(level, "%s %d", text, 7);
        fflush(stderr);
        dup2(saved, STDERR_FILENO);
        rewind(file);
        n = fread(got, 1, sizeof got - 1, file);
    }
    got[n] = '\0';
    if (saved >= 0) close(saved);
    if (file) fclose(file);
    return got;
}

int main(void)
{
    static char longest[4000], host[64], expected[256];
    const char *line;

    gethostname(host, sizeof host - 1);
    flm_log_init(0, FLM_LOG_INFO);
    line = captured(FLM_LOG_INFO, "steps");
    snprintf(expected, sizeof expected, "%s 0 log.c:", host);
    tap_ok(strncmp(line, expected, strlen(expected)) == 0, "host rank file:line first: %s", expected);
    tap_ok(strstr(line, ": steps 7\n") != NULL && strchr(line, '\n') == line + strlen(line) - 1,
           "then the text and one end of line");
    tap_ok(strstr(captured(FLM_LOG_WARN, "w"), ": warning: w 7\n") != NULL, "a warning says so");
    tap_ok(strstr(captured(FLM_LOG_ERROR, "e"), ": error: e 7\n") != NULL, "an error says so");
    tap_ok(captured(FLM_LOG_DEBUG, "d")[0] == '\0', "more than asked for is not printed");
    flm_log_init(3, FLM_LOG_INFO);
    tap_ok(captured(FLM_LOG_INFO, "i")[0] == '\0', "information is rank 0's alone");
    tap_ok(strstr(captured(FLM_LOG_WARN, "w"), " 3 log.c:") != NULL, "a warning is any rank's");
    flm_log_init(3, FLM_LOG_DEBUG);
    tap_ok(strstr(captured(FLM_LOG_DEBUG, "d"), ": debug: d 7\n") != NULL, "debug when asked for, on any rank");
    memset(longest, 'x', sizeof longest - 1);
    line = captured(FLM_LOG_ERROR, longest);
    tap_ok(strlen(line) > 2000 && strlen(line) < 3000 && line[strlen(line) - 1] == '\n',
           "a long line is cut, not lost");
    return tap_end();
}

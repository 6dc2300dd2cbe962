/* The checks of the C tests themselves: what holds passes, what does not hold ends the program, and both values are printed. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ome_test.h"

/* What a failing check prints. It fails in a child, which must end with 1. */
static void said_by(void (*check)(void), char *said, size_t size_bytes)
{
    int ends[2];
    CHECK_EQUAL(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
    {
        dup2(ends[1], STDERR_FILENO);
        check();
        _exit(0);
    }
    CHECK(child > 0);
    close(ends[1]);
    memset(said, 0, size_bytes);
    size_t at = 0;
    ssize_t taken;
    while (at < size_bytes - 1 && (taken = read(ends[0], said + at, size_bytes - 1 - at)) > 0)
    {
        at += (size_t)taken;
    }
    close(ends[0]);
    int status = 0;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_EQUAL(WEXITSTATUS(status), 1);
}

static void check_says(void (*check)(void), const char *expected)
{
    char said[400];
    said_by(check, said, sizeof(said));
    const char *text = strstr(said, "check failed: ");
    CHECK(text != NULL);
    CHECK_TEXT_EQUAL(text, expected);
}

static void three_is_below_two(void)
{
    const int three = 3;
    CHECK(three < 2);
}

static void minus_one_is_two(void)
{
    const int32_t number = -1;
    CHECK_EQUAL(number, UINT64_C(2));
}

static void a_text_is_another(void)
{
    const char *text = "bid";
    CHECK_TEXT_EQUAL(text, "ask");
}

static void no_text_is_a_text(void)
{
    const char *text = NULL;
    CHECK_TEXT_EQUAL(text, "ask");
}

static void the_third_byte_differs(void)
{
    const uint8_t bytes[4] = {1, 2, 3, 4};
    const uint8_t others[4] = {1, 2, 0xFF, 0};
    CHECK_BYTES_EQUAL(bytes, others, sizeof(bytes));
}

static void a_check_that_fails_prints_what_it_found(void)
{
    check_says(three_is_below_two, "check failed: three < 2\n");
    check_says(minus_one_is_two, "check failed: number: found 18446744073709551615 (-1), expected 2 (2): UINT64_C(2)\n");
    check_says(a_text_is_another, "check failed: text: found \"bid\", expected \"ask\": \"ask\"\n");
    check_says(no_text_is_a_text, "check failed: text: found \"(null)\", expected \"ask\": \"ask\"\n");
    check_says(the_third_byte_differs, "check failed: bytes: at offset 2 of 4 bytes found 0x03, expected 0xFF: others\n");
}

static void a_check_that_holds_prints_nothing(void)
{
    const uint8_t bytes[2] = {1, 2};
    CHECK(bytes[0] < bytes[1]);
    CHECK_EQUAL(bytes[1], 2);
    CHECK_EQUAL((int8_t)-1, INT64_C(-1));
    CHECK_TEXT_EQUAL("bid", "bid");
    CHECK_BYTES_EQUAL(bytes, bytes, sizeof(bytes));
    CHECK_BYTES_EQUAL(bytes, "other", 0);
}

static void a_check_takes_each_value_once(void)
{
    uint32_t taken = 0;
    CHECK_EQUAL(++taken, 1);
    CHECK_EQUAL(1, taken++);
    CHECK_EQUAL(taken, 2);
}

int main(void)
{
    RUN(a_check_that_fails_prints_what_it_found);
    RUN(a_check_that_holds_prints_nothing);
    RUN(a_check_takes_each_value_once);
    return 0;
}

/* The journal on the file system of the machine. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "journal_fixture.h"

static char real_directory[] = "/tmp/ome-test-journal-XXXXXX";

static void remove_files(void)
{
    DIR *entries = opendir(real_directory);
    CHECK(entries != NULL);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
    {
        unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
}

static void *prepare(void *stop)
{
    while (!atomic_load((atomic_bool *)stop))
    {
        const ome_status_t status = ome_journal_writer_prepare_next(&writer);
        CHECK_EQUAL(status, OME_OK);
        usleep(100);
    }
    return NULL;
}

/* Rule: one thread writes while another prepares, on real files; the records come back. */
static void another_thread_may_prepare_segments(void)
{
    const ome_file_system_t *file_system = ome_file_system_posix();
    open_reader(file_system, real_directory, false);
    CHECK_EQUAL(read_on(), OME_EMPTY);
    CHECK_EQUAL(ome_journal_recover(&reader), OME_OK);
    CHECK_EQUAL(open_writer(file_system, real_directory), OME_OK);
    atomic_bool stop = false;
    pthread_t thread;
    CHECK_EQUAL(pthread_create(&thread, NULL, prepare, &stop), 0);
    commit_groups(20000, 200);
    atomic_store(&stop, true);
    CHECK_EQUAL(pthread_join(thread, NULL), 0);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    open_reader(file_system, real_directory, false);
    CHECK_EQUAL(read_on(), OME_EMPTY);
    CHECK_EQUAL(reader.report.verdict, OME_JOURNAL_CLEAN);
    CHECK_EQUAL(reader.last_sequence, 20000);
    CHECK(writer.unprepared_count < reader.segment_count - 1); /* some were prepared */
    CHECK_EQUAL(ome_journal_recover(&reader), OME_OK);
    ome_journal_reader_close(&reader);
    remove_files();
}

/* Rule: a live reader, which reads through the page cache, sees at once what was written past it, also in blocks that
 * it has read before. */
static void a_live_reader_sees_what_was_written_past_the_page_cache(void)
{
    const ome_file_system_t *file_system = ome_file_system_posix();
    memset(&reader, 0, sizeof(reader));
    CHECK_EQUAL(open_writer(file_system, real_directory), OME_OK);
    open_reader(file_system, real_directory, true);
    for (uint64_t group = 0; group < 60; group++)
    {
        commit_groups(1 + group % 40, 40);
        CHECK_EQUAL(read_on(), OME_EMPTY);
        CHECK_EQUAL(reader.last_sequence, writer.durable_sequence);
    }
    CHECK(reader.segment_count > 1);
    CHECK_EQUAL(ome_journal_writer_close(&writer), OME_OK);
    ome_journal_reader_close(&reader);
    remove_files();
}

/* Rule: a file for whole blocks takes them, and what the file system refuses to take past the page cache goes through it. */
static void a_file_for_whole_blocks_falls_back_to_the_page_cache(void)
{
    static _Alignas(OME_FILE_BLOCK_SIZE) uint8_t blocks[2 * OME_FILE_BLOCK_SIZE];
    static uint8_t bytes[2 * OME_FILE_BLOCK_SIZE];
    const ome_file_system_t *table = ome_file_system_posix();
    char path[OME_PATH_SIZE];
    CHECK_EQUAL(ome_file_join(path, real_directory, "blocks"), OME_OK);
    const int file = table->open(NULL, path, OME_FILE_CREATE_DIRECT);
    CHECK(file >= 0);
    memset(blocks, 3, sizeof(blocks));
    CHECK_EQUAL(table->write(NULL, file, blocks, sizeof(blocks), 0), 0);
    memset(blocks, 4, sizeof(blocks));
    CHECK_EQUAL(table->write(NULL, file, blocks, OME_FILE_BLOCK_SIZE, OME_FILE_BLOCK_SIZE), 0);
    CHECK_EQUAL(table->write(NULL, file, blocks + 1, 11, 5), 0); /* EINVAL past the page cache */
    CHECK_EQUAL(table->write(NULL, file, blocks, OME_FILE_BLOCK_SIZE, 2 * OME_FILE_BLOCK_SIZE), 0);
    CHECK_EQUAL(table->sync_data(NULL, file), 0);
    CHECK_EQUAL(table->size(NULL, file), 3 * OME_FILE_BLOCK_SIZE);
    CHECK_EQUAL(table->close(NULL, file), 0);
    const int again = table->open(NULL, path, OME_FILE_READ);
    CHECK_EQUAL(table->read(NULL, again, bytes, sizeof(bytes), 0), sizeof(bytes));
    for (size_t index = 0; index < sizeof(bytes); index++)
    {
        CHECK_EQUAL(bytes[index], (index >= 5 && index < 16) || index >= OME_FILE_BLOCK_SIZE ? 4 : 3);
    }
    CHECK_EQUAL(table->close(NULL, again), 0);
    remove_files();
}

/* Rule: a call of the table does the whole operation. */
static void the_operating_system_does_whole_operations(void)
{
    const ome_file_system_t *table = ome_file_system_posix();
    char path[OME_PATH_SIZE];
    char other[OME_PATH_SIZE];
    uint8_t bytes[100];
    CHECK_EQUAL(ome_file_join(path, real_directory, "a"), OME_OK);
    CHECK_EQUAL(ome_file_join(other, real_directory, "b"), OME_OK);
    const int file = table->open(NULL, path, OME_FILE_CREATE);
    CHECK(file >= 0);
    CHECK_EQUAL(table->write(NULL, file, "hello world", 11, 5), 0);
    CHECK_EQUAL(table->size(NULL, file), 16);
    CHECK_EQUAL(table->read(NULL, file, bytes, sizeof(bytes), 11), 5);
    CHECK_BYTES_EQUAL(bytes, "world", 5);
    CHECK_EQUAL(table->read(NULL, file, bytes, sizeof(bytes), 16), 0);
    CHECK_EQUAL(table->truncate(NULL, file, 7), 0);
    CHECK_EQUAL(table->size(NULL, file), 7);
    CHECK_EQUAL(table->sync_data(NULL, file), 0);
    CHECK_EQUAL(table->sync_all(NULL, file), 0);
    CHECK_EQUAL(table->rename(NULL, path, other), 0);
    CHECK_EQUAL(table->sync_directory(NULL, real_directory), 0);
    CHECK_EQUAL(table->close(NULL, file), 0);
    CHECK_EQUAL(table->remove(NULL, other), 0);
}

/* Rule: a call of the table that fails gives the number of the error. */
static void the_operating_system_says_why_a_call_failed(void)
{
    const ome_file_system_t *table = ome_file_system_posix();
    char path[OME_PATH_SIZE];
    char other[OME_PATH_SIZE];
    CHECK_EQUAL(ome_file_join(path, real_directory, "a"), OME_OK);
    CHECK_EQUAL(ome_file_join(other, real_directory, "b"), OME_OK);
    CHECK_EQUAL(table->open(NULL, path, OME_FILE_READ), -ENOENT);
    CHECK_EQUAL(table->open(NULL, path, OME_FILE_WRITE), -ENOENT);
    const int file = table->open(NULL, other, OME_FILE_CREATE);
    CHECK(file >= 0);
    CHECK_EQUAL(table->close(NULL, file), 0);
    const int read_only = table->open(NULL, other, OME_FILE_READ);
    CHECK(read_only >= 0);
    CHECK_EQUAL(table->write(NULL, read_only, "x", 1, 0), -EBADF);
    CHECK_EQUAL(table->close(NULL, read_only), 0);
    CHECK_EQUAL(table->remove(NULL, path), -ENOENT);
    CHECK_EQUAL(table->remove(NULL, other), 0);
    CHECK_EQUAL(table->sync_directory(NULL, other), -ENOENT);
    CHECK_EQUAL(table->list(NULL, other, NULL, NULL), -ENOENT);
    CHECK_EQUAL(table->close(NULL, -1), -EBADF);
}

/* Rule: what an operator reads has the call, the file and the number of the error. */
static void an_error_names_the_call_and_the_file(void)
{
    ome_error_t error;
    CHECK_EQUAL(ome_file_failed(&error, -ENOSPC, "pwrite", "data/a"), OME_IO_ERROR);
    CHECK_EQUAL(error.number, ENOSPC);
    CHECK_TEXT_EQUAL(error.call, "pwrite");
    CHECK_TEXT_EQUAL(error.path, "data/a");
}

/* Rule: a write that the system cuts short is continued, and where it cannot be, it is an error: here by a limit on the size of files. */
static void a_short_write_is_continued_and_then_an_error(void)
{
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
    {
        const ome_file_system_t *table = ome_file_system_posix();
        const struct rlimit limit = {.rlim_cur = 5000, .rlim_max = 5000};
        char path[OME_PATH_SIZE];
        static const _Alignas(OME_FILE_BLOCK_SIZE) uint8_t bytes[2 * OME_FILE_BLOCK_SIZE];
        signal(SIGXFSZ, SIG_IGN);
        CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
        CHECK_EQUAL(ome_file_join(path, real_directory, "limited"), OME_OK);
        for (int mode = OME_FILE_CREATE; mode <= OME_FILE_CREATE_DIRECT; mode++)
        {
            const int file = table->open(NULL, path, (ome_file_mode_t)mode);
            CHECK(file >= 0);
            CHECK_EQUAL(table->write(NULL, file, bytes, sizeof(bytes), 0), -EFBIG);
            CHECK_EQUAL(table->size(NULL, file), 5000);
            CHECK_EQUAL(table->close(NULL, file), 0);
        }
        _exit(0);
    }
    int status;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
    remove_files();
}

int main(void)
{
    seed = test_seed(20240229);
    CHECK(mkdtemp(real_directory) != NULL);
    RUN(another_thread_may_prepare_segments);
    RUN(a_live_reader_sees_what_was_written_past_the_page_cache);
    RUN(a_file_for_whole_blocks_falls_back_to_the_page_cache);
    RUN(the_operating_system_does_whole_operations);
    RUN(the_operating_system_says_why_a_call_failed);
    RUN(an_error_names_the_call_and_the_file);
    RUN(a_short_write_is_continued_and_then_an_error);
    CHECK_EQUAL(rmdir(real_directory), 0);
    return 0;
}

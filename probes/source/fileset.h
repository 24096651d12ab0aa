/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Turns what a person named on a command line into the logs to read and their order. A log and its
 * rotated pieces are one set, read oldest first, as logrotate names them:
 *	mail.log.3.gz mail.log.2.gz mail.log.1 mail.log
 *	mail.log-20260516.gz mail.log-20260517 mail.log
 *	x.log.20260516-010203 x.log
 * or Windows servers, see log_name.h.
 * Only files that were named (or lie in a directory that was) are taken: no sibling is looked for.
 */
#ifndef MQW_PROBES_SOURCE_FILESET_H
#define MQW_PROBES_SOURCE_FILESET_H

#include "watchdogd/base/buffer.h"

struct mqw_log_file {
	char *path; /* owned; "-" is standard input, "journal" and "journal:DIR" the journal */
	int64_t mtime; /* microseconds since 1970; MQW_TIME_NONE unknown */
	uint64_t size; /* bytes on disk, 0 unknown */
	bool hole_before; /* a numbered piece is missing between the one before and this */
};

struct mqw_log_set {
	struct mqw_log_file *files; /* oldest first */
	size_t count;
};

struct mqw_fileset {
	struct mqw_log_set *sets; /* in the order of the first argument that named one of each */
	size_t set_count;
	struct mqw_buffer errors; /* "path: why\n" each, printable */
	size_t error_count;
};

/*
 * Takes files, directories (the text and compressed files right in them, by name; hidden and
 * binary ones left out), patterns that the shell left alone, "-" for standard input, "journal" for
 * this host's systemd journal and "journal:DIR" for journal files elsewhere ("./journal" is a file
 * of that name). A file that is named twice, by whatever name, is read once. What cannot be read is
 * noted in errors and left out. 0 or -ENOMEM; *ret is to be done in both cases.
 */
int mqw_fileset_build(char *const *args, size_t count, struct mqw_fileset *ret);

/*
 * The same for logs that have names of their own: of a directory, and of those below it, the files that
 * is_log says are some, by their names without folders. NULL: as above.
 */
int mqw_fileset_find(char *const *args, size_t count, bool (*is_log)(struct mqw_slice name),
	struct mqw_fileset *ret);

/* Whether a path of a set means the journal. */
bool mqw_fileset_is_journal(const char *path);
/* The DIR of "journal:DIR", NULL for this host's own. Points into path. */
const char *mqw_fileset_journal_directory(const char *path);

/* Frees what f owns and empties it. */
void mqw_fileset_done(struct mqw_fileset *f);

#endif

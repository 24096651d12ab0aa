/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private copies of queue files, STATE/vault/INSTANCE/QUEUE_ID: what a lost message is brought back
 * from. Folders are 0700 and files 0600: they hold other people's mail. Nothing in a queue or in
 * the vault is followed through a symbolic link.
 *
 * A copy's modification time is the source's change time. That is what changes with every write,
 * chmod and rename, and what nobody can set back: so a copy says by itself which state of the file
 * it holds, and no second record can disagree.
 *
 * An instance's name and a queue id are [0-9A-Za-z], not first also "-", of the name "_" and "."
 * too; 1 to 64 of them. Anything else: -EINVAL. Besides what each function says: -EACCES, -ENOSPC,
 * -EIO, -ENOMEM and the like. One process and thread writes to the vault.
 */
#ifndef MQW_VAULT_VAULT_H
#define MQW_VAULT_VAULT_H

#include <sys/stat.h>

#include "watchdogd/base/buffer.h"

struct mqw_vault;

/*
 * state is the state folder, which must be there. Half-made copies of a former run are removed.
 * Looks at each file once.
 */
int mqw_vault_open(const char *state, const char *instance, struct mqw_vault **ret);
/* The same for reading alone, by another process too: nothing is made or removed. -ENOENT: none. */
int mqw_vault_open_to_read(const char *state, const char *instance, struct mqw_vault **ret);
struct mqw_vault *mqw_vault_close(struct mqw_vault *v);

/*
 * Whether each copy is flushed to the disk, its name too, before it counts; false at first. Without
 * it a power cut may take the copies of the last half minute, and with it each copy waits for the
 * disk twice.
 */
void mqw_vault_set_flush(struct mqw_vault *v, bool flush);

/* Bytes of all copies as their length says: blocks that are shared with the queue count too. */
uint64_t mqw_vault_size(const struct mqw_vault *v);

/*
 * Copies the regular file root/path, replacing an older copy in one step; a reader sees the one or
 * the other. mode: permission bits that the file must have exactly (Postfix: 0700 is a finished
 * queue file), 0 any. limit: bytes. Where it is not flushed, after a power cut a copy may be
 * missing or, on some file systems, empty; then it is not fresh, or does not parse. A copy of a
 * file that changed within the last 0.1 s is kept but is not fresh: it may be half a change.
 *
 * 1 copied; 0 when the copy was fresh already. -ENOENT: the file is gone, which is normal, and an
 * older copy stays. -EAGAIN: it was being written to at each of three tries. -EPERM: another mode.
 * -EFBIG: over the limit. -ELOOP: a symbolic link on the way; -EINVAL: no regular file, or a path
 * that leaves root.
 */
int mqw_vault_copy_in(struct mqw_vault *v, int root, const char *path, struct mqw_slice queue_id,
	mode_t mode, uint64_t limit);

/*
 * The same for a message that is several files: paths, of which there are count, 1 to
 * MQW_BUNDLE_MAX; the first has the envelope, the second the body, which never changes once the
 * envelope is there, so that it is copied once: a shorter one does not replace it. limit: of all together. -ENOENT also when one of the others is gone. Such
 * an MTA uses no id twice: between the copies of two files the old envelope would have the new body.
 */
int mqw_vault_copy_bundle_in(struct mqw_vault *v, int root, const char *const *paths, size_t count,
	struct mqw_slice queue_id, mode_t mode, uint64_t limit);

/* Whether there is a copy of the file as st says it is now. */
bool mqw_vault_fresh(const struct mqw_vault *v, struct mqw_slice queue_id, const struct stat *st);

/*
 * Adds the whole copy to ret, several files as a bundle (base/bundle.h). 0; -ENOENT none; -EFBIG
 * longer than max, the bundle's head not counted, then nothing is added.
 */
int mqw_vault_read_all(
	const struct mqw_vault *v, struct mqw_slice queue_id, uint64_t max, struct mqw_buffer *ret);

/* Forgets the copy, not the file for recovery. 0 also when there was none. */
int mqw_vault_remove(struct mqw_vault *v, struct mqw_slice queue_id);

/*
 * Writes QUEUE_ID.recover, the mail as it is to be submitted again, in one step; it is on the disk
 * when this returns.
 */
int mqw_vault_write_recover(
	struct mqw_vault *v, struct mqw_slice queue_id, struct mqw_slice content);
/* Whether there is one. */
bool mqw_vault_has_recover(const struct mqw_vault *v, struct mqw_slice queue_id);
/* 0 also when there was none. */
int mqw_vault_remove_recover(struct mqw_vault *v, struct mqw_slice queue_id);
/*
 * The root helper renames the file for recovery to QUEUE_ID.done when the mail is submitted: when
 * it did that, or MQW_TIME_NONE. An id may be used again: compare it with the request's time.
 */
int64_t mqw_vault_done_at(const struct mqw_vault *v, struct mqw_slice queue_id);
/* 0 also when there was none. */
int mqw_vault_remove_done(struct mqw_vault *v, struct mqw_slice queue_id);

enum mqw_vault_kind {
	MQW_VAULT_COPY, /* of a message, all of its files */
	MQW_VAULT_FOR_RECOVERY, /* QUEUE_ID.recover */
	MQW_VAULT_RECOVERED, /* QUEUE_ID.done */
};

struct mqw_vault_entry {
	struct mqw_slice queue_id; /* until the callback returns */
	enum mqw_vault_kind kind;
	uint64_t size; /* bytes */
	/* Microseconds: of a copy when its source changed last, otherwise when it was written. */
	int64_t changed_at;
};

/*
 * Gives each copy and file, in no order; for keeping to size and age. The callback may remove entries. A
 * negative value from it ends the walk and is returned. Files with other names are passed over.
 */
int mqw_vault_each(struct mqw_vault *v, int (*each)(void *ctx, const struct mqw_vault_entry *entry),
	void *ctx);

#endif

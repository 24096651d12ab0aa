/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/share/smb.h"

#include <errno.h>
#include <fcntl.h>
#include <libsmbclient.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "watchdogd/base/clock.h"

/* libsmbclient's own limit of one call. The daemon's, after which it kills us, is longer. */
#define CALL_LIMIT_MS 20000
/* Of a name, each of its bytes written as %XX. */
#define URL_SIZE 3000

struct mqw_smb {
	SMBCCTX *context;
	const struct mqw_share_url *url;
	const struct mqw_credentials *credentials;
};

/* Asked for each server and share; both are ours alone. */
static void give_credentials(SMBCCTX *context, const char *server, const char *share,
	char *workgroup, int workgroup_size, char *user, int user_size, char *password,
	int password_size)
{
	const struct mqw_smb *s = smbc_getOptionUserData(context);

	(void)server;
	(void)share;
	if (s->credentials->domain[0])
		snprintf(workgroup, (size_t)workgroup_size, "%s", s->credentials->domain);
	snprintf(user, (size_t)user_size, "%s", s->credentials->user);
	snprintf(password, (size_t)password_size, "%s", s->credentials->password);
}

struct mqw_smb *mqw_smb_create(const struct mqw_share_url *url,
	const struct mqw_credentials *credentials, const char *min_protocol)
{
	struct mqw_smb *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct mqw_smb){
		.context = smbc_new_context(), .url = url, .credentials = credentials};
	if (!s->context)
		return mqw_smb_free(s);
	smbc_setDebug(s->context, 0);
	smbc_setOptionUserData(s->context, s);
	smbc_setFunctionAuthDataWithContext(s->context, give_credentials);
	smbc_setTimeout(s->context, CALL_LIMIT_MS);
	/* Somebody else than the user that was configured may see another share. */
	smbc_setOptionNoAutoAnonymousLogin(s->context, 1);
	if (!smbc_init_context(s->context))
		return mqw_smb_free(s);
	if (min_protocol && !smbc_setOptionProtocols(s->context, min_protocol, NULL))
		return mqw_smb_free(s);
	smbc_set_context(s->context);
	return s;
}

struct mqw_smb *mqw_smb_free(struct mqw_smb *s)
{
	if (s && s->context)
		smbc_free_context(s->context, 1);
	free(s);
	return NULL;
}

static int fail(void)
{
	return errno > 0 ? -errno : -EIO;
}

static int64_t microseconds(struct timespec t)
{
	return t.tv_sec > 0 ? (int64_t)t.tv_sec * MQW_SECOND + t.tv_nsec / 1000 : 0;
}

/* The folder's URL without the "/" at its end, and the name of a file in it; NULL: none. */
static bool make_url(const struct mqw_smb *s, const char *name, char ret[URL_SIZE])
{
	int n = snprintf(ret, URL_SIZE, "%.*s", (int)s->url->folder.len - (name ? 0 : 1),
		s->url->folder.ptr);

	if (n < 0 || n >= URL_SIZE)
		return false;
	/* A "%" in a name would be taken for an escape. */
	return !name || smbc_urlencode(ret + n, (char *)(uintptr_t)name, URL_SIZE - n) > 0;
}

static int list(void *ctx, mqw_share_each *each, void *walk)
{
	struct mqw_smb *s = ctx;
	const struct libsmb_file_info *info;
	char url[URL_SIZE];
	int dir;

	if (!make_url(s, NULL, url))
		return -ENAMETOOLONG;
	dir = smbc_opendir(url);
	if (dir < 0)
		return fail();
	while ((info = smbc_readdirplus((unsigned int)dir)) != NULL) {
		const struct mqw_share_entry e = {.name = mqw_slice_of(info->name),
			.size = info->size,
			.written = microseconds(info->mtime_ts)};

		if (!(info->attrs & SMBC_DOS_MODE_DIRECTORY))
			each(walk, &e);
	}
	smbc_closedir(dir);
	return 0;
}

static int open_file(void *ctx, const char *name, struct mqw_share_entry *ret)
{
	struct mqw_smb *s = ctx;
	char url[URL_SIZE];
	struct stat st;
	int fd, r;

	if (!make_url(s, name, url))
		return -ENAMETOOLONG;
	fd = smbc_open(url, O_RDONLY, 0);
	if (fd < 0)
		return fail();
	if (smbc_fstat(fd, &st) < 0) {
		r = fail();
		smbc_close(fd);
		return r;
	}
	ret->size = (uint64_t)st.st_size;
	ret->written = microseconds(st.st_mtim);
	return fd;
}

static ssize_t read_file(void *ctx, int handle, uint64_t offset, char *buf, size_t size)
{
	size_t got = 0;
	ssize_t n = 1;

	(void)ctx;
	if (smbc_lseek(handle, (off_t)offset, SEEK_SET) < 0)
		return fail();
	while (got < size && n > 0) {
		n = smbc_read(handle, buf + got, size - got);
		if (n < 0)
			return fail();
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static void close_file(void *ctx, int handle)
{
	(void)ctx;
	smbc_close(handle);
}

void mqw_smb_ops(struct mqw_smb *s, struct mqw_share_ops *ret)
{
	ret->list = list;
	ret->open = open_file;
	ret->read = read_file;
	ret->close = close_file;
	ret->ctx = s;
}

struct watch {
	void (*changed)(void *ctx);
	void *ctx;
};

static int on_change(
	const struct smbc_notify_callback_action *actions, size_t count, void *userdata)
{
	const struct watch *w = userdata;

	(void)actions;
	if (count)
		w->changed(w->ctx);
	return 0;
}

void mqw_smb_watch(struct mqw_smb *s, void (*changed)(void *ctx), void *ctx)
{
	struct watch w = {changed, ctx};
	char url[URL_SIZE];
	int dir;

	if (!make_url(s, NULL, url))
		return;
	dir = smbc_opendir(url);
	if (dir < 0)
		return;
	smbc_notify(dir, 0,
		SMBC_NOTIFY_CHANGE_FILE_NAME | SMBC_NOTIFY_CHANGE_SIZE |
			SMBC_NOTIFY_CHANGE_LAST_WRITE,
		0, on_change, &w);
	smbc_closedir(dir);
}

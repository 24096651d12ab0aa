/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE /* explicit_bzero */
#include "watchdogd/base/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watchdogd/base/fd.h"

#define FILE_MAX_SIZE ((size_t)16 * 1024)

bool mqw_credentials_path(const char *configured, struct mqw_buffer *ret)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");

	if (configured[0] != '/')
		mqw_buffer_printf(ret, "%s/",
			directory ? directory : "/run/credentials/mailq-watchdogd.service");
	mqw_buffer_add_str(ret, configured);
	return !ret->failed;
}

static int refuse(const struct stat *st, struct mqw_buffer *why)
{
	if (!S_ISREG(st->st_mode))
		mqw_buffer_add_str(why, "it is not a regular file");
	else if (st->st_uid != 0 && st->st_uid != geteuid())
		mqw_buffer_add_str(why, "it belongs neither to root nor to the watchdog's user");
	else if (st->st_mode & (S_IWGRP | S_IRWXO))
		mqw_buffer_printf(why,
			"its mode is %04o, and others could read or change it: make it 0640 or "
			"less",
			(unsigned int)st->st_mode & 07777);
	else
		return 0;
	return -EPERM;
}

/* Where the value of a key goes; NULL for a key that Samba does not know either. */
static char *field(struct mqw_credentials *c, struct mqw_slice key)
{
	if (mqw_slice_eq_nocase(key, MQW_LIT("username")))
		return c->user;
	if (mqw_slice_eq_nocase(key, MQW_LIT("password")))
		return c->password;
	return mqw_slice_eq_nocase(key, MQW_LIT("domain")) ? c->domain : NULL;
}

static bool take_line(struct mqw_credentials *c, struct mqw_slice line)
{
	size_t at = mqw_slice_chr(line, '=');
	struct mqw_slice value;
	char *to;

	while (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (mqw_slice_trim(line).len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';')
		return true;
	to = field(c, mqw_slice_trim(mqw_slice_head(line, at)));
	/* As Samba does it: blanks in front of the value go, those behind it stay. */
	value = mqw_slice_from(line, at + 1);
	while (value.len && (value.ptr[0] == ' ' || value.ptr[0] == '\t'))
		value = mqw_slice_from(value, 1);
	if (!to || at >= line.len || value.len >= MQW_CREDENTIAL_MAX ||
		mqw_slice_chr(value, '\0') < value.len)
		return false;
	memcpy(to, value.ptr, value.len);
	to[value.len] = '\0';
	return true;
}

static int parse(struct mqw_slice text, struct mqw_credentials *ret, struct mqw_buffer *why)
{
	size_t number = 0;

	while (text.len) {
		struct mqw_slice line = mqw_slice_head(text, mqw_slice_chr(text, '\n'));

		text = mqw_slice_from(text, line.len + 1);
		number++;
		if (take_line(ret, line))
			continue;
		mqw_buffer_printf(why,
			"line %zu is none of username =, password = and domain =, with less than "
			"%d bytes",
			number, MQW_CREDENTIAL_MAX);
		return -EBADMSG;
	}
	if (ret->user[0] && ret->password[0])
		return 0;
	mqw_buffer_printf(why, "it has no %s =", ret->user[0] ? "password" : "username");
	return -EBADMSG;
}

int mqw_credentials_read(const char *path, struct mqw_credentials *ret, struct mqw_buffer *ret_why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r = 0;
	struct mqw_buffer text = {0};
	struct stat st;

	*ret = (struct mqw_credentials){0};
	if (fd < 0) {
		r = -errno;
		mqw_buffer_add_str(ret_why, strerror(errno));
		return r;
	}
	if (fstat(fd, &st) < 0)
		r = -errno;
	if (r == 0)
		r = refuse(&st, ret_why);
	if (r == 0 && !mqw_buffer_reserve(&text, FILE_MAX_SIZE))
		r = -ENOMEM;
	if (r == 0)
		r = mqw_fd_read_all(fd, FILE_MAX_SIZE, &text);
	close(fd);
	if (r < 0 && !ret_why->len)
		mqw_buffer_add_str(ret_why, strerror(-r));
	if (r == 0)
		r = parse(mqw_buffer_slice(&text), ret, ret_why);
	if (text.ptr)
		explicit_bzero(text.ptr, text.len);
	mqw_buffer_done(&text);
	if (r < 0)
		mqw_credentials_done(ret);
	return r;
}

void mqw_credentials_done(struct mqw_credentials *c)
{
	explicit_bzero(c, sizeof(*c));
}

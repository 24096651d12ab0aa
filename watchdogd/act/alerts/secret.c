/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "watchdogd/act/alerts/deliver.h"

#define SECRET_MAX 4096
/* Where systemd keeps the credentials of the daemon's unit, for a test by hand beside it. */
#define DAEMON_CREDENTIALS "/run/credentials/mailq-watchdogd.service"

static void say_failure(struct mqw_delivery *d, const char *path, int error)
{
	struct mqw_buffer text = {0};

	mqw_buffer_printf(&text, "the secret in %s cannot be read: %s", path, strerror(error));
	mqw_delivery_say(d, mqw_buffer_slice(&text));
	mqw_buffer_done(&text);
}

static int read_line(const char *path, struct mqw_buffer *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t n = -1;

	if (fd < 0)
		return errno;
	errno = EISDIR;
	if (mqw_buffer_reserve(ret, SECRET_MAX))
		n = read(fd, ret->ptr, SECRET_MAX);
	if (n < 0) {
		close(fd);
		return errno;
	}
	close(fd);
	ret->len = mqw_slice_chr(mqw_slice(ret->ptr, (size_t)n), '\n');
	while (ret->len && ret->ptr[ret->len - 1] == '\r')
		ret->len--;
	ret->ptr[ret->len] = '\0';
	/* A control character would end the header or the command that it becomes part of. */
	for (size_t i = 0; i < ret->len; i++)
		if ((unsigned char)ret->ptr[i] < 0x20)
			return EILSEQ;
	return ret->len ? 0 : ENODATA;
}

bool mqw_secret_read(
	const char *file, const char *credential, struct mqw_buffer *ret, struct mqw_delivery *d)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	struct mqw_buffer path = {0};
	int error;

	if (file)
		mqw_buffer_add_str(&path, file);
	else
		mqw_buffer_printf(
			&path, "%s/%s", directory ? directory : DAEMON_CREDENTIALS, credential);
	error = path.failed ? ENOMEM : read_line(mqw_buffer_str(&path), ret);
	if (error)
		say_failure(d, mqw_buffer_str(&path), error);
	mqw_buffer_done(&path);
	return error == 0;
}

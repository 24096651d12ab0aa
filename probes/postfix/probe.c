/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/postfix/postfix.h"

#include "probes/common.h"

/* By its usual name. */
static bool is_mail_owner(struct mqw_slice uid)
{
	static struct mqw_known_user owner = {.name = "postfix"};

	return mqw_known_user_is(&owner, uid);
}

/* Postfix's daemons; a user who runs one by hand gets it to log nothing but that this is wrong. */
static bool is_daemon(struct mqw_slice exe)
{
	return mqw_slice_starts(exe, MQW_LIT("/usr/lib/postfix/")) ||
		mqw_slice_starts(exe, MQW_LIT("/usr/libexec/postfix/"));
}

/*
 * Who logs as root or as the mail owner is no ordinary user. The unit alone proves nothing, as
 * local(8) and pipe(8) run users' commands in it (~/.forward: "|logger ..."); nor does the path of
 * a command, as postlog(1) logs whatever any user wants. Units of Postfix's name are instances;
 * what is in none is an operator's postsuper or postqueue, which becomes the mail owner
 * (postsuper.c: set_ugid). Where mail_owner has another name than usual, a daemon in the
 * instance's own unit is known by its path.
 */
static bool is_genuine(
	const char *service, struct mqw_slice unit, struct mqw_slice uid, struct mqw_slice exe)
{
	bool trusted = mqw_slice_eq(uid, MQW_LIT("0")) || is_mail_owner(uid);

	if (!mqw_slice_starts(unit, MQW_LIT("postfix")))
		return trusted;
	return (trusted || is_daemon(exe)) &&
		(service ? mqw_slice_eq(unit, mqw_slice_of(service))
			 : mqw_slice_eq(unit, MQW_LIT("postfix@-.service")) ||
					mqw_slice_eq(unit, MQW_LIT("postfix.service")));
}

static int keep_recipients(struct mqw_buffer *file, const struct mqw_slice *keep, size_t keep_count)
{
	return mqw_postfix_keep_recipients(file->ptr, file->len, keep, keep_count);
}

/* Defaults of Postfix 3.7: maximal_queue_lifetime 5d, maximal_backoff_time 4000s (postconf(5)). */
const struct mqw_probe_ops mqw_probe_postfix = {
	.name = "postfix",
	.default_log = "/var/log/mail.log",
	.default_unit = "postfix@-.service",
	.default_lifetime = 5 * MQW_DAY,
	.default_retry_max = 4000 * MQW_SECOND,
	.create = mqw_postfix_log_create,
	.free = mqw_postfix_log_free,
	.line = mqw_postfix_line,
	.is_mine = mqw_postfix_is_mine,
	.queue_directories = mqw_postfix_queue_directories,
	.queue_name = mqw_postfix_queue_name,
	.mtime_is_retry = true,
	.valid_id = mqw_postfix_valid_id,
	.queue_file = mqw_postfix_queue_file,
	.mail = mqw_postfix_mail,
	.complete_mode = 0700, /* MAIL_QUEUE_STAT_READY, global/mail_queue.h */
	.keep_recipients = keep_recipients,
	.is_genuine = is_genuine,
	.ask = mqw_postfix_ask,
	.control = &mqw_postfix_control,
	.remedy = mqw_postfix_remedy,
};

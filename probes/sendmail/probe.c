/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/sendmail/sendmail.h"

#include "probes/common.h"

/* Whether uid is that of one of Sendmail's users, or root. */
static bool is_of_sendmail(struct mqw_slice uid)
{
	static struct mqw_known_user users[] = {
		{.name = "smmta"}, {.name = "smmsp"}, {.name = "mailnull"}};

	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++)
		if (mqw_known_user_is(&users[i], uid))
			return true;
	return mqw_slice_eq(uid, MQW_LIT("0"));
}

/*
 * The daemon and its queue runs log as root or as one of Sendmail's users. The unit proves nothing, as
 * a pipe of a user's .forward runs in it as that user; nor does the program, to which anyone may give
 * a queue and a configuration of his own: then it logs what he likes, but as himself.
 */
static bool is_genuine(
	const char *service, struct mqw_slice unit, struct mqw_slice uid, struct mqw_slice exe)
{
	(void)service, (void)unit, (void)exe;
	return is_of_sendmail(uid);
}

/*
 * What a user's sendmail command sends is first in the client's queue, mqueue-client, and goes from
 * there to the daemon of the same host (FEATURE(`msp')): that is what a relay of this address means,
 * mostly. Other addresses of the loopback are those of filters and the like.
 */
static bool in_other_queue(const struct mqw_message *m)
{
	for (const struct mqw_recipient *r = m->recipients; r; r = r->next) {
		struct mqw_slice relay = mqw_slice_of(r->relay);

		if (r->state == MQW_RECIPIENT_DEFERRED &&
			(mqw_slice_find(relay, MQW_LIT("[127.0.0.1]")) < relay.len ||
				mqw_slice_find(relay, MQW_LIT("[IPv6:::1]")) < relay.len ||
				mqw_slice_starts(relay, MQW_LIT("localhost"))))
			return true;
	}
	return false;
}

/*
 * Timeout.queuereturn is 5d by default. How often the queue is run is the daemon's -q option: 10m
 * on Debian, 1h on Red Hat.
 */
const struct mqw_probe_ops mqw_probe_sendmail = {
	.name = "sendmail",
	.default_log = "/var/log/mail.log",
	.default_unit = "sendmail.service",
	.default_lifetime = 5 * MQW_DAY,
	.default_retry_max = MQW_HOUR,
	.removal_unlogged = true,
	.create = mqw_sendmail_log_create,
	.free = mqw_sendmail_log_free,
	.line = mqw_sendmail_line,
	.is_mine = mqw_sendmail_is_mine,
	.queue_directories = mqw_sendmail_queue_directories,
	.queue_name = mqw_sendmail_queue_name,
	.queue_file_forms = mqw_sendmail_queue_file_forms,
	.companion = mqw_sendmail_companion,
	.companion_places = true,
	.in_other_queue = in_other_queue,
	.valid_id = mqw_sendmail_valid_id,
	.queue_file = mqw_sendmail_queue_file,
	.mail = mqw_sendmail_mail,
	.keep_recipients = mqw_sendmail_keep_recipients,
	.is_genuine = is_genuine,
	.ask = mqw_sendmail_ask,
	.control = &mqw_sendmail_control,
	.remedy = mqw_sendmail_remedy,
};

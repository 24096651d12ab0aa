/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/exim/exim.h"

#include "probes/common.h"

/* Exim's own user has one of these names: the first that is there. */
static bool is_mail_owner(struct mqw_slice uid)
{
	static struct mqw_known_user owners[] = {
		{.name = "Debian-exim"}, {.name = "exim"}, {.name = "mail"}};

	for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++)
		if (mqw_known_user_exists(&owners[i]))
			return mqw_known_user_is(&owners[i], uid);
	return false;
}

/*
 * Exim is set-uid: it logs as its own user, or as root, whoever runs it. The unit proves nothing, as
 * a pipe of the alias file or of a user's .forward runs in it as that user.
 */
static bool is_genuine(
	const char *service, struct mqw_slice unit, struct mqw_slice uid, struct mqw_slice exe)
{
	(void)service, (void)unit, (void)exe;
	return mqw_slice_eq(uid, MQW_LIT("0")) || is_mail_owner(uid);
}

/*
 * Lifetime and longest pause are those of the retry rule that Debian and Exim itself ship:
 * F,2h,15m; G,16h,1h,1.5; F,4d,6h.
 */
const struct mqw_probe_ops mqw_probe_exim = {
	.name = "exim",
	.default_log = "/var/log/exim4/mainlog",
	.default_unit = "exim4.service",
	.default_lifetime = 4 * MQW_DAY,
	.default_retry_max = 6 * MQW_HOUR,
	.create = mqw_exim_log_create,
	.free = mqw_exim_log_free,
	.line = mqw_exim_line,
	.own_form = mqw_exim_own_form,
	.is_mine = mqw_exim_is_mine,
	.queue_directories = mqw_exim_queue_directories,
	.queue_name = mqw_exim_queue_name,
	.queue_file_forms = mqw_exim_queue_file_forms,
	.companion = mqw_exim_companion,
	.journal = MQW_EXIM_JOURNAL,
	.journal_name = mqw_exim_journal_name,
	.add_journal = mqw_exim_add_journal,
	.valid_id = mqw_exim_valid_id,
	.queue_file = mqw_exim_queue_file,
	.mail = mqw_exim_mail,
	/* Any: ID-H comes by a rename, when it is complete. */
	.complete_mode = 0,
	.keep_recipients = mqw_exim_keep_recipients,
	.is_genuine = is_genuine,
	.ask = mqw_exim_ask,
	.control = &mqw_exim_control,
	.remedy = mqw_exim_remedy,
};

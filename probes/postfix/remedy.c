/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a postmaster can do about trouble in Postfix, in one sentence each. */
#include "probes/common.h"
#include "probes/postfix/postfix.h"

static void false_report(
	const struct mqw_message *m, const struct mqw_recipient *r, struct mqw_buffer *ret)
{
	bool null_sender = m->sender && m->sender[0] == '\0';

	if (m->gave_up)
		mqw_buffer_printf(ret,
			"Raise %s in main.cf (default 5d), or look for a per-service override with "
			"postconf -P; send the message again.",
			null_sender ? "bounce_queue_lifetime" : "maximal_queue_lifetime");
	else if (r->code)
		mqw_buffer_add_str(ret,
			"A rule turned 4xx into 5xx: look at smtp_delivery_status_filter, "
			"default_delivery_status_filter and smtp_reply_filter in main.cf; send the "
			"message again.");
}

void mqw_postfix_remedy(const struct mqw_message *m, const struct mqw_recipient *r,
	enum mqw_verdict v, struct mqw_buffer *ret)
{
	switch (v) {
	case MQW_VERDICT_VANISHED:
		mqw_buffer_add_str(ret,
			"Look for the file with `find /var/spool/postfix -name ID`; when it is "
			"gone, "
			"send the message again from a copy or ask the sender to.");
		break;
	case MQW_VERDICT_FALSE_NDR:
		false_report(m, r, ret);
		break;
	case MQW_VERDICT_OVERDUE:
		mqw_buffer_add_str(ret,
			"Check the queue with `postqueue -p` and the queue manager with `postfix "
			"status`; `postqueue -i ID` tries it at once, a restart of Postfix shakes "
			"a "
			"stuck queue manager out.");
		break;
	default:
		mqw_remedy_of_any(v, ret);
		break;
	}
}

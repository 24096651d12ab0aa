/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a postmaster can do about trouble in Sendmail, in one sentence each. */
#include "probes/common.h"
#include "probes/sendmail/sendmail.h"

void mqw_sendmail_remedy(const struct mqw_message *m, const struct mqw_recipient *r,
	enum mqw_verdict v, struct mqw_buffer *ret)
{
	(void)r;
	switch (v) {
	case MQW_VERDICT_VANISHED:
		mqw_buffer_add_str(ret,
			m->file_lost
				? "Look into the queue for qfID, dfID and QfID (`mailq -qL` lists "
				  "what was "
				  "set aside); what has lost its df file has lost its body: send "
				  "the "
				  "message again from a copy or ask the sender to."
				: "Look for qfID and dfID below /var/spool/mqueue; when they are "
				  "gone, send "
				  "the message again from a copy or ask the sender to; LogLevel 10 "
				  "in "
				  "sendmail.cf makes Sendmail log each removal.");
		break;
	case MQW_VERDICT_FALSE_NDR:
		if (m->gave_up)
			mqw_buffer_add_str(ret,
				"Raise Timeout.queuereturn (and its .normal, .urgent, .non-urgent "
				"and .dsn forms) in sendmail.cf or on the daemon's command line "
				"(default 5d), and send the message again.");
		else if (r->code)
			mqw_buffer_add_str(ret,
				"Sendmail made a failure out of a 4xx answer: look at the mailer "
				"and the rulesets in sendmail.cf; send the message again.");
		break;
	case MQW_VERDICT_OVERDUE:
		mqw_buffer_add_str(ret,
			"Check the queue with `mailq -v` and that the daemon was started with -q; "
			"`sendmail -v -qIID` tries it at once.");
		break;
	case MQW_VERDICT_LOST_DOWNSTREAM:
		mqw_buffer_add_str(
			ret, "Look into the MTA that accepted it, and its own queue and log.");
		break;
	default:
		mqw_remedy_of_any(v, ret);
		break;
	}
}

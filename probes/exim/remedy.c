/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a postmaster can do about trouble in Exim, in one sentence each. */
#include "probes/common.h"
#include "probes/exim/exim.h"

static void false_report(const struct mqw_recipient *r, struct mqw_buffer *ret)
{
	if (r->state == MQW_RECIPIENT_GIVEN_UP)
		mqw_buffer_add_str(ret,
			"Look with `exim -brt DOMAIN` whether a retry rule covers it and how long "
			"it lasts, and with `exinext DOMAIN` for an old record that expired it at "
			"once (`exim_tidydb` and `exim_fixdb` remove one); send the message "
			"again.");
	else
		mqw_buffer_add_str(ret,
			"A 4xx answer was made a permanent failure: look for mua_wrapper and for "
			"what "
			"the transport runs in between; send the message again.");
}

void mqw_exim_remedy(const struct mqw_message *m, const struct mqw_recipient *r, enum mqw_verdict v,
	struct mqw_buffer *ret)
{
	(void)m;
	switch (v) {
	case MQW_VERDICT_VANISHED:
		mqw_buffer_add_str(ret,
			"Look for ID-H and ID-D below input/ in the spool directory; when one is "
			"gone, send the message again from a copy or ask the sender to.");
		break;
	case MQW_VERDICT_FALSE_NDR:
		false_report(r, ret);
		break;
	case MQW_VERDICT_OVERDUE:
		mqw_buffer_add_str(ret,
			"Check that the queue runner is alive (`exiwhat`, a recent \"Start queue "
			"run\" in the log); `exim -M ID` tries it at once.");
		break;
	default:
		mqw_remedy_of_any(v, ret);
		break;
	}
}

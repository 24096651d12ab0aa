/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/common.h"
#include "probes/iis_smtp/iis_smtp.h"
#include "probes/windows/advice.h"

void mqw_iis_smtp_remedy(const struct mqw_message *m, const struct mqw_recipient *r,
	enum mqw_verdict v, struct mqw_buffer *ret)
{
	if (mqw_advise_on_file(m, r, ret))
		return;
	switch (v) {
	case MQW_VERDICT_VANISHED:
	case MQW_VERDICT_OVERDUE:
		mqw_buffer_add_str(ret,
			"Restart the SMTP service (`net stop SMTPSVC`, `net start SMTPSVC`): it "
			"sends "
			"then what lies in mailroot\\Queue; install the update of KB934709.");
		mqw_advise_glitch_retry(r, ret);
		break;
	default:
		mqw_remedy_of_any(v, ret);
		break;
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a postmaster can do about trouble in Exchange, by its version, which a message's id tells:
 * since 2007 it is in brackets. The settings and their defaults are Microsoft's documentation
 * (aa998772 for GlitchRetrySeconds).
 */
#include "probes/common.h"
#include "probes/exchange/exchange.h"
#include "probes/windows/advice.h"

static bool is_2007(const struct mqw_message *m)
{
	return m->queue_id[0] == '<';
}

static void lost(const struct mqw_message *m, const struct mqw_recipient *r, struct mqw_buffer *ret)
{
	if (is_2007(m)) {
		mqw_buffer_add_str(ret,
			"Look for it with `Get-Message` and try it with `Retry-Queue`; when it is "
			"in "
			"no queue, `Restart-Service MSExchangeTransport`.");
		mqw_advise_transport_retry(r, ret);
		return;
	}
	mqw_buffer_add_str(ret,
		"Restart the SMTP service (`net stop SMTPSVC`, `net start SMTPSVC`), which "
		"releases "
		"what is stuck, late reports of failure included; when that did not release it, "
		"try "
		"MSExchangeIS; install the update of KB950757 (KB934709 on a gateway without "
		"Exchange).");
	mqw_advise_glitch_retry(r, ret);
}

static void false_report(
	const struct mqw_message *m, const struct mqw_recipient *r, struct mqw_buffer *ret)
{
	mqw_buffer_add_str(ret, "Tell the sender that the report is wrong, and send it again.");
	if (is_2007(m))
		mqw_advise_transport_retry(r, ret);
	else
		mqw_advise_glitch_retry(r, ret);
}

void mqw_exchange_remedy(const struct mqw_message *m, const struct mqw_recipient *r,
	enum mqw_verdict v, struct mqw_buffer *ret)
{
	if (mqw_advise_on_file(m, r, ret))
		return;
	switch (v) {
	case MQW_VERDICT_VANISHED:
	case MQW_VERDICT_OVERDUE:
		lost(m, r, ret);
		break;
	case MQW_VERDICT_FALSE_NDR:
		false_report(m, r, ret);
		break;
	case MQW_VERDICT_UNKNOWN:
		mqw_buffer_add_str(ret,
			"Give the missing log files, those of every server that the message may "
			"have "
			"passed.");
		break;
	default:
		mqw_remedy_of_any(v, ret);
		break;
	}
}

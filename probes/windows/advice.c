/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "probes/windows/advice.h"

/*
 * Three retries of GlitchRetrySeconds (60 by default) come before anything else (aa998772): what the
 * greylisting receiver demands has to fit in there. Ten minutes cover half an hour, which most do.
 */
#define GLITCHES 3
#define GLITCH_DEFAULT (60 * MQW_SECOND)
#define GLITCH_USUAL (600 * MQW_SECOND)

bool mqw_advise_on_file(
	const struct mqw_message *m, const struct mqw_recipient *r, struct mqw_buffer *ret)
{
	struct mqw_slice id = mqw_slice_of(m->queue_id);

	if (m->held && mqw_slice_ends(id, MQW_LIT(".BAD"))) {
		mqw_buffer_add_str(ret,
			"Look at the file in Badmail and those of its name beside it, which say "
			"why; "
			"nobody was told.");
		return true;
	}
	if (m->place == MQW_PLACE_NONE || r->attempts)
		return false;
	if (mqw_slice_eq_nocase(mqw_slice_head(mqw_slice_of(m->queue_id), 5), MQW_LIT("NTFS_")))
		mqw_buffer_add_str(ret,
			"Restart the SMTP service (`net stop SMTPSVC`, `net start SMTPSVC`): it "
			"tries then what lies in Queue; install the update of KB934709.");
	else
		mqw_buffer_add_str(ret,
			"The SMTP service takes up what lies in Pickup within seconds: start it, "
			"or look whether this file is a mail at all.");
	return true;
}

/* Adds who demands which delay: "postgrey demands 5 min". */
static void add_delay(const char *name, int64_t delay, struct mqw_buffer *ret)
{
	mqw_buffer_printf(ret, "%s demands ", name);
	mqw_span_format(ret, delay);
}

void mqw_advise_glitch_retry(const struct mqw_recipient *r, struct mqw_buffer *ret)
{
	int64_t delay = 0, seconds = GLITCH_USUAL;
	const char *name = mqw_greylisting_of(mqw_slice_of(r->reply), &delay);

	if (delay > GLITCHES * GLITCH_USUAL)
		seconds = delay / GLITCHES;
	mqw_buffer_printf(ret,
		" Set GlitchRetrySeconds (DWORD, to be created with its key) in "
		"HKLM\\System\\CurrentControlSet\\Services\\SMTPSvc\\Queuing to %lld and restart "
		"SMTP: its first three retries then span ",
		(long long)((seconds + 59 * MQW_SECOND) / (60 * MQW_SECOND) * 60));
	mqw_span_format(
		ret, (seconds + 59 * MQW_SECOND) / (60 * MQW_SECOND) * 60 * MQW_SECOND * GLITCHES);
	mqw_buffer_add_str(ret, ", not ");
	mqw_span_format(ret, GLITCH_DEFAULT * GLITCHES);
	if (name && delay) {
		mqw_buffer_add_str(ret, " (");
		add_delay(name, delay, ret);
		mqw_buffer_add_str(ret, ")");
	}
	mqw_buffer_add_str(ret, "; or send by a smarthost that retries properly.");
}

/* Defaults: 4 retries a minute apart, then 6 five minutes apart, then every 10 to 30 minutes. */
void mqw_advise_transport_retry(const struct mqw_recipient *r, struct mqw_buffer *ret)
{
	int64_t delay = 0;
	const char *name = mqw_greylisting_of(mqw_slice_of(r->reply), &delay);

	mqw_buffer_add_str(ret,
		" Check that retries go on for long enough: QueueGlitchRetryCount (4) and "
		"QueueGlitchRetryInterval (1 min) in EdgeTransport.exe.config, which an update "
		"resets, TransientFailureRetryCount (6) and TransientFailureRetryInterval (5 min), "
		"MessageRetryInterval (15 min) and MessageExpirationTimeout (2 d) of "
		"`Get-TransportService`");
	if (name && delay) {
		mqw_buffer_add_str(ret, "; ");
		add_delay(name, delay, ret);
	}
	mqw_buffer_add_str(ret, "; or send by a smarthost that retries properly.");
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "watchdogd/act/alerts/tls.h"

void mqw_tls_trust(CURL *curl, const struct mqw_alert_config *c)
{
	if (!c->ca_file)
		return;
	curl_easy_setopt(curl, CURLOPT_CAINFO, c->ca_file);
	/* Where libcurl was built with a folder of CAs, it would believe these besides. */
	curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
}

void mqw_tls_explain(struct mqw_buffer *b, CURLcode code, const struct mqw_alert_config *c)
{
	struct mqw_slice host = mqw_alert_host(c);

	if (code == CURLE_USE_SSL_FAILED)
		mqw_buffer_add_str(b, " (the relay offers no TLS; see tls:)");
	else if (code == CURLE_SSL_CACERT_BADFILE)
		mqw_buffer_printf(b, " (nothing was sent: no certificates can be read from %s%s)",
			c->ca_file ? c->ca_file : "the system's CAs",
			c->ca_file ? ", the ca_file:" : "");
	else if (code == CURLE_PEER_FAILED_VERIFICATION)
		mqw_buffer_printf(b,
			" (nothing was sent: the server did not prove that it is %.*s; it needs a "
			"certificate for this name from a CA %s%s%s)",
			(int)host.len, host.ptr,
			c->ca_file ? "in " : "that this host trusts, or its CA in ca_file:",
			c->ca_file ? c->ca_file : "", c->ca_file ? ", the ca_file:" : "");
}

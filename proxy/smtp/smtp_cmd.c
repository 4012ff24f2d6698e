#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/base/mem.h"
#include "proxy/smtp/smtp_auth.h"
#include "proxy/smtp/smtp_int.h"

static bool
is_hello_name(struct slice name)
{
	if (name.len == 0 || name.len > SMTP_HELO_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (name.at[i] <= ' ' || name.at[i] > '~')
			return false;
	return true;
}

/* RFC 5321 section 4.1.4: EHLO or HELO again is like RSET. */
static bool
hello(struct smtp_session *s, struct slice args, bool esmtp)
{
	struct slice name = slice_word(&args);

	if (!is_hello_name(name) || args.len > 0)
		return false;
	smtp_transaction_abort(s);
	free(s->helo);
	s->helo = mem_slice(name);
	s->esmtp = esmtp;
	s->offered = 0;
	smtp_xclient_hello(s);
	smtp_enter(s, SMTP_READY);
	return true;
}

static enum smtp_step
cmd_helo(struct smtp_session *s, struct slice args)
{
	if (!hello(s, args, false))
		return smtp_refuse(s, "501 5.5.4 Syntax: HELO hostname");
	smtp_say(s, "250 %s", s->site->conf->hostname);
	return STEP_NEXT;
}

static enum smtp_step
cmd_ehlo(struct smtp_session *s, struct slice args)
{
	if (!hello(s, args, true))
		return smtp_refuse(s, "501 5.5.4 Syntax: EHLO hostname");
	smtp_say_ehlo(s);
	return STEP_NEXT;
}

/* RFC 3207 section 4. Whatever the client said before is forgotten; dispatch() has made sure that
 * nothing was sent behind the command. */
static enum smtp_step
cmd_starttls(struct smtp_session *s, struct slice args)
{
	struct err err = { "" };

	if (args.len > 0)
		return smtp_refuse(s, "501 5.5.4 STARTTLS takes no parameter");
	if (s->tls != NULL)
		return smtp_refuse(s, "503 5.5.1 TLS is active already");
	if (!(smtp_can_offer(s) & CONF_EXT_STARTTLS))
		return smtp_refuse(s, "502 5.5.1 TLS is not available here");
	if (smtp_auth_done(s))		/* who was it that authenticated? RFC 3207 section 4.2 would have us forget it */
		return smtp_refuse(s, "503 5.5.1 You have authenticated already");
	smtp_transaction_abort(s);
	smtp_say(s, "220 2.0.0 Ready to start TLS");
	if (conn_starttls(s->client, site_tls(s->site, s->listener), NULL, &err) == -1) {
		log_warn("%s: STARTTLS: %s", s->id, err.text);
		return smtp_end(s, NULL, "STARTTLS failed");
	}
	smtp_enter(s, SMTP_GREETED);
	free(s->helo);
	s->helo = NULL;
	s->esmtp = false;
	s->handshake = true;
	return STEP_WAIT;
}

static enum smtp_step
cmd_rset(struct smtp_session *s, struct slice args)
{
	if (args.len > 0)
		return smtp_refuse(s, "501 5.5.4 RSET takes no parameter");
	smtp_transaction_abort(s);
	if (s->state != SMTP_GREETED)
		smtp_enter(s, SMTP_READY);
	return smtp_ok(s, "250 2.0.0 Ok");
}

static enum smtp_step
cmd_noop(struct smtp_session *s, struct slice args)
{
	(void)args;
	return smtp_ok(s, "250 2.0.0 Ok");
}

#define NAME_MAX_SAID (SMTP_MAILBOX_MAX + 32)

/* What VRFY and EXPN are asked about: a mailbox, in brackets or not, or its local part alone; behind it SMTPUTF8 may
 * stand (RFC 6531 section 3.7.4.2). Written anew into out. */
static bool
read_name(struct slice args, bool utf8_offered, char out[NAME_MAX_SAID])
{
	bool utf8 = slice_iends(args, " SMTPUTF8");
	struct slice name = slice_trim(slice_part(args, 0, args.len - (utf8 ? strlen(" SMTPUTF8") : 0)));
	bool bracketed = slice_starts(name, "<");
	char text[NAME_MAX_SAID];
	struct smtp_path path;

	if (name.len == 0 || name.len > SMTP_MAILBOX_MAX + 2 || (utf8 && !utf8_offered))
		return false;
	snprintf(text, sizeof(text), bracketed ? "%.*s" : "<%.*s>", (int)name.len, name.at);
	name = slice_of(text);
	if (smtp_path_parse(&name, &path, utf8) != PATH_OK || name.len > 0 || path.mailbox[0] == '\0')
		return false;
	snprintf(out, NAME_MAX_SAID, bracketed ? "<%s>%s" : "%s%s", path.mailbox, utf8 ? " SMTPUTF8" : "");
	return true;
}

/* RFC 5321 section 3.5.3: 252 when we do not know. */
static enum smtp_step
cmd_vrfy(struct smtp_session *s, struct slice args)
{
	char name[NAME_MAX_SAID];

	if (!read_name(args, (s->offered & CONF_EXT_SMTPUTF8) != 0, name))
		return smtp_refuse(s, "501 5.5.4 Syntax: VRFY address");
	if ((smtp_can_offer(s) & CONF_EXT_VRFY))
		return smtp_ask_text(s, "VRFY", slice_of(name));
	return smtp_ok(s, "252 2.5.0 Cannot VRFY the user, but will take mail for it and try to deliver");
}

static enum smtp_step
cmd_expn(struct smtp_session *s, struct slice args)
{
	char name[NAME_MAX_SAID];

	if (!(smtp_can_offer(s) & CONF_EXT_EXPN))
		return smtp_refuse(s, "502 5.5.1 EXPN is not available here");
	if (!read_name(args, (s->offered & CONF_EXT_SMTPUTF8) != 0, name))
		return smtp_refuse(s, "501 5.5.4 Syntax: EXPN list");
	return smtp_ask_text(s, "EXPN", slice_of(name));
}

static bool
is_node_char(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_';
}

/* "example.org", "@example.org" (and what is below it), "#queue" (RFC 1985 section 5). */
static bool
is_node(struct slice node)
{
	if (node.len > 0 && (node.at[0] == '@' || node.at[0] == '#'))
		node = slice_part(node, 1, node.len);
	if (node.len == 0 || node.len > SMTP_DOMAIN_MAX || node.at[0] == '-' || node.at[0] == '.')
		return false;
	for (size_t i = 0; i < node.len; i++)
		if (!is_node_char((unsigned char)node.at[i]))
			return false;
	return true;
}

static enum smtp_step
cmd_etrn(struct smtp_session *s, struct slice args)
{
	struct slice node = slice_word(&args);

	if (!(smtp_can_offer(s) & CONF_EXT_ETRN))
		return smtp_refuse(s, "502 5.5.1 ETRN is not available here");
	if (!is_node(node) || args.len > 0)
		return smtp_refuse(s, "501 5.5.4 Syntax: ETRN domain, @domain or #queue");
	return smtp_ask_text(s, "ETRN", node);
}

static enum smtp_step
cmd_quit(struct smtp_session *s, struct slice args)
{
	if (args.len > 0)
		return smtp_refuse(s, "501 5.5.4 QUIT takes no parameter");
	s->quit = true;
	return smtp_end(s, "221 2.0.0 Bye", "quit");
}

static enum smtp_step
cmd_refused(struct smtp_session *s, struct slice args)
{
	(void)args;
	return smtp_refuse(s, "502 5.5.1 Command not implemented; HELP says why");
}

static enum smtp_step cmd_help(struct smtp_session *, struct slice args);

#define IN_MAIL_OR_NOT (IN(READY) | IN(MAIL) | IN(RCPT))
/* Between two chunks the server may have been let go (park-after): then there is nobody to ask. */
#define IN_NO_MESSAGE  (IN_ANY & ~IN(BDAT))

/* AUTH looks itself at what is pipelined behind it: some of it may be. */
static const struct smtp_cmd smtp_cmds[] = {
	/* verb       handler       legal in               flags; what HELP says */
	{ "EHLO",     cmd_ehlo,     IN_ANY,                CMD_PRE_TLS | CMD_PRE_AUTH | CMD_LAST | CMD_JUNK,
	  "greets, and asks for the extensions (RFC 5321 section 4.1.1.1)" },
	{ "HELO",     cmd_helo,     IN_ANY,                CMD_PRE_TLS | CMD_PRE_AUTH | CMD_LAST | CMD_JUNK,
	  "greets, without extensions (RFC 5321 section 4.1.1.1)" },
	{ "STARTTLS", cmd_starttls, IN_MAIL_OR_NOT,        CMD_PRE_TLS | CMD_PRE_AUTH | CMD_LAST,
	  "begins TLS (RFC 3207)" },
	{ "AUTH",     smtp_auth,    IN(READY),             CMD_PRE_AUTH,
	  "authenticates by a mechanism that EHLO lists (RFC 4954)" },
	{ "MAIL",     smtp_mail,    IN(READY),             0,
	  "begins a message, with its sender: MAIL FROM:<address> (RFC 5321 section 4.1.1.2)" },
	{ "RCPT",     smtp_rcpt,    IN(MAIL) | IN(RCPT),   0,
	  "names a recipient: RCPT TO:<address> (RFC 5321 section 4.1.1.3)" },
	{ "DATA",     smtp_data,    IN(MAIL) | IN(RCPT),   CMD_LAST,
	  "sends the message, which a dot alone on a line ends (RFC 5321 section 4.1.1.4)" },
	{ "BDAT",     smtp_bdat,    IN_ANY,                CMD_PRE_TLS | CMD_PRE_AUTH,	/* its octets have to be read, whatever the answer */
	  "sends the message, or a chunk of it, by its length (RFC 3030)" },
	{ "RSET",     cmd_rset,     IN_ANY,                CMD_PRE_AUTH | CMD_JUNK,
	  "forgets the message that was begun (RFC 5321 section 4.1.1.5)" },
	{ "NOOP",     cmd_noop,     IN_ANY,                CMD_PRE_TLS | CMD_PRE_AUTH | CMD_JUNK,
	  "does nothing (RFC 5321 section 4.1.1.9)" },
	{ "VRFY",     cmd_vrfy,     IN_NO_MESSAGE,         CMD_JUNK,
	  "asks whether an address exists (RFC 5321 section 4.1.1.6)" },
	{ "EXPN",     cmd_expn,     IN_NO_MESSAGE,         CMD_JUNK,
	  "asks who is on a list (RFC 5321 section 4.1.1.7)" },
	{ "ETRN",     cmd_etrn,     IN(READY),             CMD_JUNK,
	  "asks for the mail that waits for a domain (RFC 1985)" },
	{ "HELP",     cmd_help,     IN_ANY,                CMD_PRE_TLS | CMD_PRE_AUTH | CMD_JUNK,
	  "says what a command does (RFC 5321 section 4.1.1.8)" },
	{ "XCLIENT",  smtp_xclient, IN_ANY,                CMD_PRE_TLS | CMD_PRE_AUTH | CMD_LAST,
	  "says who the client is, from a relay that we trust (Postfix's XCLIENT_README)" },
	{ "XFORWARD", smtp_xforward, IN_ANY,               CMD_PRE_AUTH,
	  "says where the next message came from, from a relay that we trust (Postfix's XFORWARD_README)" },
	{ "QUIT",     cmd_quit,     IN_ANY,                CMD_PRE_TLS | CMD_PRE_AUTH,
	  "says goodbye (RFC 5321 section 4.1.1.10)" },
	{ "TURN",     cmd_refused,  IN_ANY,                CMD_JUNK,
	  "refused: it hands waiting mail to whoever asks for it (RFC 5321 appendix F.1); ETRN took its place" },
	{ "SEND",     cmd_refused,  IN_ANY,                CMD_JUNK,
	  "refused: it writes on a user's terminal; no server has it any more (RFC 5321 appendix F.6); use MAIL" },
	{ "SOML",     cmd_refused,  IN_ANY,                CMD_JUNK,
	  "refused: it writes on a user's terminal, or else is MAIL (RFC 5321 appendix F.6); use MAIL" },
	{ "SAML",     cmd_refused,  IN_ANY,                CMD_JUNK,
	  "refused: it writes on a user's terminal and is MAIL too (RFC 5321 appendix F.6); use MAIL" },
	{ NULL,       NULL,         0,                     0, NULL },
};

const struct smtp_cmd *
smtp_cmd_find(struct slice verb)
{
	for (const struct smtp_cmd *cmd = smtp_cmds; cmd->verb != NULL; cmd++)
		if (slice_iis(verb, cmd->verb))
			return cmd;
	return NULL;
}

/* RFC 5321 section 4.1.1.8 */
static enum smtp_step
cmd_help(struct smtp_session *s, struct slice args)
{
	struct slice verb = slice_word(&args);
	const struct smtp_cmd *cmd = smtp_cmd_find(verb);
	char verbs[400] = "";

	if (s->listener->without & CONF_EXT_HELP)
		return smtp_refuse(s, "502 5.5.1 HELP is not available here");
	if (cmd != NULL) {
		smtp_say(s, "214 2.0.0 %s: %s", cmd->verb, cmd->help);
		return STEP_NEXT;
	}
	for (cmd = smtp_cmds; cmd->verb != NULL; cmd++)
		if (cmd->run != cmd_refused)
			snprintf(verbs + strlen(verbs), sizeof(verbs) - strlen(verbs), " %s", cmd->verb);
	smtp_say(s, "214-2.0.0 Commands:%s", verbs);
	smtp_say(s, "214 2.0.0 HELP and one of these says what it does");
	return STEP_NEXT;
}

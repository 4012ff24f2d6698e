/* smtp_release.h - held messages that an administrator releases: each goes to its backend in a session of its own.
 *
 * Only a message that the backend takes for all recipients is delivered; otherwise the keeper keeps it and shows what
 * the backend said. The backend's own timeouts bound all waits. */
#ifndef PROXY_SMTP_SMTP_RELEASE_H
#define PROXY_SMTP_SMTP_RELEASE_H

#include "policy/keeper/keeper_client.h"
#include "proxy/backend/site.h"
#include "proxy/smtp/smtp_pool.h"

struct smtp_releases;

struct smtp_releases *smtp_releases_new(struct keeper *, struct smtp_pool *);
void smtp_releases_site(struct smtp_releases *, struct site *);	/* whose backends they go to from now on; NULL: none more */
void smtp_releases_free(struct smtp_releases **);	/* before pool and keeper; what runs is dropped: "outcome unknown" */

#endif

#!/bin/sh
# Creates Temporal's two databases in PostgreSQL and brings their schemas up to date; run again, it only
# updates. The password comes in SQL_PASSWORD, which the tool reads by itself.
set -eu

: "${SQL_HOST:?names the PostgreSQL server}"
: "${SQL_PASSWORD:?is the password of SQL_USER}"
export SQL_HOST SQL_PASSWORD SQL_PLUGIN="${SQL_PLUGIN:-postgres12}" SQL_PORT="${SQL_PORT:-5432}" SQL_USER="${SQL_USER:-temporal}"
versions=/etc/temporal/schema/postgresql/v12

bring_up_to_date() { # database, folder of its schema
  SQL_DATABASE="$1" temporal-sql-tool create
  SQL_DATABASE="$1" temporal-sql-tool setup-schema -v 0.0
  SQL_DATABASE="$1" temporal-sql-tool update-schema -d "$versions/$2/versioned"
}

bring_up_to_date temporal temporal
bring_up_to_date temporal_visibility visibility

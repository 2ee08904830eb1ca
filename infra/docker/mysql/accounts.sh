#!/bin/sh
# Runs once in each new member, before it joins the group: the accounts and schemas of infra/mysql/accounts.ts, without
# GTIDs, so that members do not differ. Afterwards the member is read-only until the group elects it.
set -eu
export MYSQL_PWD="$MYSQL_ROOT_PASSWORD"
{
  echo "SET SESSION sql_log_bin=0;"
  echo "CREATE USER 'gr_repl'@'%' IDENTIFIED BY '$HEDDLE_DB_PASSWORD' REQUIRE SSL;"
  echo "GRANT REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO 'gr_repl'@'%';"
  echo "CREATE USER 'mesh_agent'@'%' IDENTIFIED BY '$HEDDLE_DB_PASSWORD';"
  echo "GRANT GROUP_REPLICATION_ADMIN, SYSTEM_VARIABLES_ADMIN, CONNECTION_ADMIN, REPLICATION_SLAVE_ADMIN, SHUTDOWN ON *.* TO 'mesh_agent'@'%';"
  echo "GRANT SELECT ON performance_schema.* TO 'mesh_agent'@'%';"
  for service in order inventory consumer kitchen accounting; do
    echo "CREATE DATABASE \`$service\`;"
    echo "CREATE USER '$service'@'%' IDENTIFIED BY '$HEDDLE_DB_PASSWORD';"
    echo "GRANT ALL PRIVILEGES ON \`$service\`.* TO '$service'@'%';"
    echo "GRANT SELECT ON performance_schema.replication_group_members TO '$service'@'%';"
    echo "GRANT SELECT ON performance_schema.replication_group_member_stats TO '$service'@'%';"
  done
  echo "SET PERSIST_ONLY super_read_only=ON;"
} | mysql --user=root

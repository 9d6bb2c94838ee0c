# Gives the images and Milvus a bucket and a user each; neither can touch what the other one keeps.
set -eu

mc alias set store http://minio:9000 "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD" >/dev/null
mc admin policy create store own-bucket /own-bucket.json

give() {
  mc mb --ignore-existing "store/$1"
  mc admin user add store "$1" "$2" >/dev/null
  case "$(mc admin user info store "$1")" in
    *own-bucket*) ;; # attaching it again would be an error
    *) mc admin policy attach store own-bucket --user "$1" ;;
  esac
}

give likeness "$IMAGES_SECRET_KEY"
give milvus "$VECTORS_SECRET_KEY"

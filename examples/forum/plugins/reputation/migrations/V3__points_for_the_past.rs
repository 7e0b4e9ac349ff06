//! Points for posts and likes from before the plugin was installed.

use std::error::Error;

use bustard::{Migration, OpenTransaction};

/// The points for a number of posts.
const FOR_POSTS: [(u32, u32); 4] = [(1, 1), (10, 5), (100, 25), (1000, 100)];
const FOR_A_LIKE: u32 = 2;

pub fn migration() -> Migration {
    let forget = Migration::new().run("forget the points", |transaction| {
        transaction.execute("DELETE FROM reputation")?;
        Ok(())
    });
    Migration::new().run("points for posts and likes", count).down(forget)
}

fn count(transaction: &mut OpenTransaction<'_, '_>) -> Result<(), Box<dyn Error + Send + Sync>> {
    transaction.execute("INSERT INTO reputation (user_id) SELECT id FROM users")?;
    for (posts, points) in FOR_POSTS {
        transaction.execute(&format!(
            "UPDATE reputation SET points = points + {points} WHERE user_id IN
                 (SELECT author FROM posts GROUP BY author HAVING count(*) >= {posts})"
        ))?;
    }
    transaction.execute(&format!(
        "UPDATE reputation SET points = points + {FOR_A_LIKE} * (
             SELECT count(*) FROM likes AS l JOIN posts AS p ON p.id = l.post
             WHERE p.author = reputation.user_id)"
    ))?;
    Ok(())
}
